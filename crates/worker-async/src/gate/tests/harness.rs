//! A client, hyper behind the gate, and an app that tells what it got.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferricorn_config::Grammar;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::gate::{Gate, HeadRules, Refusal, Shared};

/// Runs a test in a runtime whose clock jumps to the next timer when nothing else is to be done.
pub(super) fn run<F: Future>(test: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(test)
}

/// A client's end of a connection.
pub(super) struct Client {
    pub(super) stream: DuplexStream,
    pub(super) shared: Arc<Shared>,
    pub(super) server: tokio::task::JoinHandle<Option<Refusal>>,
}

impl Client {
    pub(super) fn connect() -> Self {
        Self::with(64 * 1024, false)
    }

    /// A connection to a server with these switches.
    pub(super) fn under(grammar: Grammar) -> Self {
        Self::to(64 * 1024, false, HeadRules::with(grammar))
    }

    /// A connection that holds so many bytes each way. `watches` says whether the client may not leave unseen.
    pub(super) fn with(size: usize, watches: bool) -> Self {
        Self::to(size, watches, HeadRules::standard())
    }

    fn to(size: usize, watches: bool, rules: HeadRules) -> Self {
        let (stream, socket) = duplex(size);
        let (gate, shared) = Gate::new(socket, rules);
        let server = tokio::spawn(serve(gate.watching(watches), Arc::clone(&shared)));
        Self { stream, shared, server }
    }

    /// Sends, and lets the server take it.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.settle().await;
    }

    /// Sends pieces one after the other, until the server takes no more.
    pub(super) async fn send_all<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        for piece in pieces {
            if self.stream.write_all(piece).await.is_err() {
                break;
            }
            self.settle().await;
        }
    }

    /// Lets the server do all it can.
    pub(super) async fn settle(&self) {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    /// Reads what is there.
    pub(super) async fn receive(&mut self) -> String {
        self.settle().await;
        let mut bytes = vec![0; 64 * 1024];
        match tokio::time::timeout(Duration::ZERO, self.stream.read(&mut bytes)).await {
            Ok(count) => bytes.truncate(count.unwrap()),
            Err(_) => bytes.clear(),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads to the end, which must come.
    pub(super) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let reading = self.stream.read_to_end(&mut bytes);
        tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the server must close").unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The statuses of all responses in a stream.
pub(super) fn statuses(received: &str) -> Vec<u16> {
    let status = |part: &str| part.get(..3).and_then(|status| status.parse().ok());
    received
        .split("HTTP/1.1 ")
        .skip(1)
        .chain(received.split("HTTP/1.0 ").skip(1))
        .filter_map(status)
        .collect()
}

/// What a client receives that sends these pieces one after the other, and nothing more.
pub(super) async fn exchange<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut client = Client::connect();
    client.send_all(pieces).await;
    let _ = client.stream.shutdown().await;
    client.rest().await
}

async fn serve(gate: Gate<DuplexStream>, shared: Arc<Shared>) -> Option<Refusal> {
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let mut connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(gate), service);
    let _ = (&mut connection).await;
    let mut refusal = None;
    let gate = connection.into_parts().io.into_inner();
    gate.finish(|refused| refusal = Some(refused.refusal)).await;
    refusal
}

/// Answers `/large` with 1 MiB, `/unread` without reading the body, `/slow` after a second, and all else with
/// what came.
async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Told>, Infallible> {
    let facts = shared.next_head();
    let (head, body) = request.into_parts();
    let target = match &facts.raw_target {
        Some(raw) => String::from_utf8(raw.to_vec()).unwrap(),
        None => head.uri.path_and_query().unwrap().to_string(),
    };
    let path = head.uri.path().to_owned();
    if path == "/slow" {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (status, text) = match path.as_str() {
        "/large" => (StatusCode::OK, "x".repeat(1 << 20)),
        "/unread" => (StatusCode::OK, "x".repeat(1 << 18)),
        _ => match body.collect().await {
            Ok(body) => {
                let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
                (StatusCode::OK, format!("[{} {target} {body}]", head.method))
            }
            Err(error) => {
                let kind = std::error::Error::source(&error)
                    .and_then(|source| source.downcast_ref::<std::io::Error>())
                    .map_or(ErrorKind::Other, std::io::Error::kind);
                (StatusCode::UNPROCESSABLE_ENTITY, format!("[{kind:?}]"))
            }
        },
    };
    let mut response = Response::new(Told(Full::new(Bytes::from(text)), shared));
    *response.status_mut() = status;
    if status != StatusCode::OK || facts.last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// A body that tells when hyper is done with it.
struct Told(Full<Bytes>, Arc<Shared>);

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.1.answered();
    }
}
