//! An app made of closures.

use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use ferricorn_protocol::{
    Answer, App, AppFault, Drive, Guest, Head, Pieces, Request, RequestBody, Response, ResponseBody,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;

use super::host::host;

type Call = dyn Fn(Request) -> Answer + Send + Sync;

/// Answers with what its closure says, on the seat or in the connection's task.
pub(super) struct TestApp(Drive, Box<Call>);

impl TestApp {
    pub(super) fn new(call: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Self {
        Self(Drive::Seat, Box::new(call))
    }

    /// The same, called where `drive` says.
    pub(super) fn of(drive: Drive, call: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Self {
        Self(drive, Box::new(call))
    }

    /// An app as Rust apps are: its bodies stream.
    pub(super) fn in_task(call: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Self {
        Self(Drive::Task, Box::new(call))
    }

    /// The same, in a loop that is the guest of the app's own.
    pub(super) fn hosted(call: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Self {
        Self(Drive::Hosted, Box::new(call))
    }

    /// Says the method, the target and the body.
    pub(super) fn echo() -> Self {
        Self::echo_of(Drive::Seat)
    }

    /// The same, called where `drive` says.
    pub(super) fn echo_of(drive: Drive) -> Self {
        Self::of(drive, |mut request| {
            let line = format!("{} {}", request.head.method, String::from_utf8_lossy(request.target()));
            let echo = move |body: &[u8]| format!("{line} {}", String::from_utf8_lossy(body));
            match request.body {
                RequestBody::Stream(stream) => Answer::Later(Box::pin(async move {
                    let body = stream.collect().await.map_err(|error| AppFault::new(error.to_string()))?;
                    let body = ResponseBody::Full(echo(&body.to_bytes()).into());
                    Ok(Box::new(Response::new(head(200, &[]), body)))
                })),
                _ => full(echo(&read(&mut request.body))),
            }
        })
    }
}

impl App for TestApp {
    fn drive(&self) -> Drive {
        self.0
    }

    fn call(&self, request: Box<Request>) -> Answer {
        (self.1)(*request)
    }

    fn host(&self, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
        host(&guest, None, || {});
        Ok(())
    }
}

pub(super) fn read(body: &mut RequestBody) -> Vec<u8> {
    match body {
        RequestBody::Empty => Vec::new(),
        RequestBody::Memory(bytes) => bytes.to_vec(),
        RequestBody::File { file, length } => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, *length);
            bytes
        }
        RequestBody::Stream(_) => panic!("an app that blocks got a stream"),
    }
}

pub(super) fn head(status: u16, headers: &[(&'static str, &str)]) -> Head {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect();
    Head { status: StatusCode::from_u16(status).unwrap(), reason: None, headers }
}

pub(super) fn answer(head: Head, body: ResponseBody) -> Answer {
    Answer::Response(Box::new(Response::new(head, body)))
}

pub(super) fn full(body: impl Into<Bytes>) -> Answer {
    answer(head(200, &[]), ResponseBody::Full(body.into()))
}

/// What became of a producer of pieces.
#[derive(Default)]
pub(super) struct Fate {
    pub(super) produced: AtomicUsize,
    pub(super) closed: AtomicUsize,
}

/// Pieces out of a closure: called with 1, 2, … until it gives none.
pub(super) struct Producer<F> {
    pub(super) step: F,
    pub(super) fate: Arc<Fate>,
}

impl<F> Pieces for Producer<F>
where
    F: FnMut(usize) -> Result<Option<Bytes>, AppFault> + Send,
{
    fn next(&mut self) -> Result<Option<Bytes>, AppFault> {
        let number = self.fate.produced.fetch_add(1, SeqCst) + 1;
        (self.step)(number)
    }

    fn close(self: Box<Self>) -> Result<(), AppFault> {
        self.fate.closed.fetch_add(1, SeqCst);
        Ok(())
    }
}

pub(super) fn pulled(
    first: &'static str,
    fate: &Arc<Fate>,
    step: impl FnMut(usize) -> Result<Option<Bytes>, AppFault> + Send + 'static,
) -> ResponseBody {
    let rest = Box::new(Producer { step, fate: fate.clone() });
    ResponseBody::Pulled { first: Bytes::from_static(first.as_bytes()), rest }
}
