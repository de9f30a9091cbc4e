//! Deadlines of requests: who is told, what is interrupted, and when a thread is given up.

use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferricorn_protocol::{
    Answer, App, AppFault, BodyError, Deadline, Drive, Guest, Request, ResponseBody, TellStack,
};
use http_body::Frame;

use super::app::{Fate, answer, full, head, pulled};
use super::host::host;
use super::{Server, body, wait_for};

/// Far more than a busy machine keeps a thread waiting: what is quick must be over by then.
const TIME: Duration = Duration::from_millis(500);

/// What an app is about, and what became of it.
#[derive(Default)]
struct Acts {
    /// Calls that were begun.
    begun: AtomicUsize,
    /// The request in which a thread is held.
    held: Mutex<Option<u64>>,
    /// Whether it may go, and whether the interruption lets it.
    free: Mutex<bool>,
    freed: Condvar,
    stubborn: AtomicBool,
    interrupted: Mutex<Vec<u64>>,
    fate: Arc<Fate>,
}

impl Acts {
    fn hold(&self, deadline: &dyn Deadline) {
        *self.held.lock().unwrap() = Some(deadline.number());
        let mut free = self.free.lock().unwrap();
        while !*free {
            free = self.freed.wait(free).unwrap();
        }
        *free = false;
        *self.held.lock().unwrap() = None;
    }

    fn free(&self) {
        *self.free.lock().unwrap() = true;
        self.freed.notify_all();
    }
}

/// Does what the path says.
struct Slow(Drive, Arc<Acts>);

impl App for Slow {
    fn drive(&self) -> Drive {
        self.0
    }

    fn host(&self, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
        host(&guest, None, || {});
        Ok(())
    }

    fn interrupt(&self, number: u64, tell: TellStack) {
        self.1.interrupted.lock().unwrap().push(number);
        tell(Some("in the app\n".to_owned()));
        if !self.1.stubborn.load(SeqCst) {
            self.1.free();
        }
    }

    fn is_held_by(&self, number: u64) -> bool {
        *self.1.held.lock().unwrap() == Some(number)
    }

    fn call(&self, request: Box<Request>) -> Answer {
        let acts = self.1.clone();
        acts.begun.fetch_add(1, SeqCst);
        let deadline = request.deadline.clone();
        match (request.head.uri.path(), deadline) {
            ("/call", Some(deadline)) if self.0.blocks() => {
                acts.hold(&*deadline);
                full("too late")
            }
            ("/call", _) => Answer::Later(Box::pin(pending())),
            ("/body", Some(deadline)) if self.0.blocks() => {
                let fate = acts.fate.clone();
                answer(
                    head(200, &[]),
                    pulled("begun", &fate, move |_| {
                        acts.hold(&*deadline);
                        Ok(Some("too late".into()))
                    }),
                )
            }
            ("/body", _) => {
                let body = ResponseBody::Stream(Box::pin(Begun(Some("begun".into()))));
                answer(head(200, &[]), body)
            }
            ("/longer", Some(deadline)) => {
                let left = deadline.extend(TIME * 1000);
                full(format!("{}", left > TIME * 999))
            }
            (_, deadline) => full(format!("{}", deadline.is_some())),
        }
    }
}

/// A body of one piece, and no end.
struct Begun(Option<Bytes>);

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.take().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
    }
}

fn server(drive: Drive) -> (Server, Arc<Acts>) {
    let acts = Arc::new(Acts::default());
    let server = Server::with(Slow(drive, acts.clone()), |settings| settings.request_timeout = Some(TIME));
    (server, acts)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Waits until that many requests have ended, and gives how many of them the app is blamed for.
fn failed(server: &Server, requests: u64) -> u64 {
    let seen = || server.scoreboard.snapshot(0).unwrap();
    wait_for("the end of the requests", || seen().requests == requests);
    seen().errors.app
}

#[test]
fn a_call_that_takes_too_long_is_a_504_and_is_interrupted() {
    for drive in super::DRIVES {
        let (server, acts) = server(drive);
        let received = server.exchange(&get("/call"));
        assert!(received.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{drive:?}: {received}");
        assert!(received.contains("The app did not answer in time."), "{received}");
        assert_eq!(acts.interrupted.lock().unwrap().len(), 1);
        assert_eq!(body(&server.exchange(&get("/"))), "true");
        assert_eq!(failed(&server, 2), 1);
        assert!(!server.worker.lifecycle.draining());
    }
}

#[test]
fn a_response_that_takes_too_long_ends_without_an_end() {
    for drive in super::DRIVES {
        let (server, acts) = server(drive);
        let received = server.exchange(&get("/body"));
        assert!(received.ends_with("\r\n\r\n5\r\nbegun\r\n"), "{drive:?}: {received}");
        assert_eq!(acts.interrupted.lock().unwrap().len(), 1);
        assert_eq!(failed(&server, 1), 1);
        if drive.blocks() {
            wait_for("close()", || acts.fate.closed.load(SeqCst) == 1);
        }
    }
}

#[test]
fn the_app_may_give_itself_more_time() {
    for drive in super::DRIVES {
        let (server, _) = server(drive);
        assert_eq!(body(&server.exchange(&get("/longer"))), "true");
    }
}

#[test]
fn a_request_that_is_not_called_in_its_time_is_a_504_and_never_called() {
    let (server, acts) = server(Drive::Seat);
    acts.stubborn.store(true, SeqCst);
    let (mut first, mut second) = (server.client(), server.client());
    second.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    second.read_until("true");
    first.send(&get("/call"));
    wait_for("the call", || acts.begun.load(SeqCst) == 2);
    second.send(&get("/"));
    assert!(first.read_to_end().starts_with("HTTP/1.1 504 "));
    assert!(second.read_to_end().starts_with("HTTP/1.1 504 "));
    acts.free();
    assert_eq!(failed(&server, 3), 2);
    wait_for("the end of the call", || acts.held.lock().unwrap().is_none());
    assert_eq!(acts.begun.load(SeqCst), 2);
    assert_eq!(acts.interrupted.lock().unwrap().len(), 1);
}

#[test]
fn a_thread_that_does_not_heed_its_interruption_costs_the_worker() {
    let (server, acts) = server(Drive::Seat);
    acts.stubborn.store(true, SeqCst);
    assert!(server.exchange(&get("/call")).starts_with("HTTP/1.1 504 "));
    wait_for("the drain", || server.worker.lifecycle.draining());
    assert!(server.worker.lifecycle.own_accord());
    acts.free();
}

#[test]
fn without_a_limit_there_is_no_deadline() {
    let server = Server::new(Slow(Drive::Seat, Arc::default()));
    assert_eq!(body(&server.exchange(&get("/"))), "false");
}

#[test]
fn a_client_that_is_waited_for_costs_the_app_no_time() {
    let acts = Arc::new(Acts::default());
    let app = super::app::TestApp::new({
        let acts = acts.clone();
        move |_| {
            let piece = Bytes::from(vec![b'x'; 1 << 20]);
            answer(
                head(200, &[]),
                pulled("x", &acts.fate, move |number| Ok((number < 32).then(|| piece.clone()))),
            )
        }
    });
    let server = Server::with(app, |settings| settings.request_timeout = Some(TIME));
    let mut client = server.client();
    client.send(&get("/"));
    client.read_until_contains("\r\n\r\n");
    // Much longer than the app's time, during which the client takes nothing.
    std::thread::sleep(TIME * 3);
    let rest = client.read_to_end();
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "cut after {} bytes", rest.len());
}
