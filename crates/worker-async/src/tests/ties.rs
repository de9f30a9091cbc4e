//! An app thread that has begun a response: it begins no other call before the end, unless the client is slow.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ferricorn_protocol::{AppFault, AppThread, Pieces, ResponseBody};

use super::app::{TestApp, answer, full, head};
use super::{Client, PATIENCE, Server};

const STREAM: &[u8] = b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const CALL: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Steps of an app, in the order in which they were made.
type Steps = Arc<Mutex<Vec<&'static str>>>;

/// Pieces that belong to the thread of their call.
struct Parts {
    next: Box<dyn FnMut() -> Option<Bytes> + Send>,
    home: AppThread,
    steps: Steps,
}

impl Pieces for Parts {
    fn next(&mut self) -> Result<Option<Bytes>, AppFault> {
        self.steps.lock().unwrap().push("piece");
        Ok((self.next)())
    }

    fn close(self: Box<Self>) -> Result<(), AppFault> {
        self.steps.lock().unwrap().push("close");
        Ok(())
    }

    fn home(&self) -> Option<AppThread> {
        Some(self.home)
    }
}

/// An app that streams so many pieces, and takes so long for each but the first, which the call brings.
fn app(steps: &Steps, pieces: usize, size: usize, pause: Duration) -> (TestApp, mpsc::Receiver<()>) {
    let (begin, begun) = mpsc::channel();
    let steps = steps.clone();
    let app = TestApp::new(move |request| {
        if request.head.uri.path() != "/stream" {
            steps.lock().unwrap().push("call");
            return full("called");
        }
        begin.send(()).unwrap();
        let mut left = pieces;
        let next = Box::new(move || {
            thread::sleep(pause);
            left = left.checked_sub(1)?;
            Some(vec![b'x'; size].into())
        });
        let rest = Box::new(Parts { next, home: AppThread::current(), steps: steps.clone() });
        answer(head(200, &[]), ResponseBody::Pulled { first: Bytes::from_static(b"first"), rest })
    });
    (app, begun)
}

/// A client whose response has begun.
fn streaming(server: &Server, begun: &mpsc::Receiver<()>) -> Client {
    let mut client = server.client();
    client.send(STREAM);
    begun.recv_timeout(PATIENCE).unwrap();
    client
}

#[test]
fn calls_wait_for_the_end_of_the_response_that_an_app_thread_has_begun() {
    for threads in [1, 3] {
        let steps = Steps::default();
        let (app, begun) = app(&steps, 30, 10, Duration::from_millis(2));
        let server = Server::with(app, |settings| settings.threads = threads);
        let clients: Vec<_> = (0..threads).map(|_| streaming(&server, &begun)).collect();
        let mut other = server.client();
        other.send(CALL);
        assert!(other.read_to_end().ends_with("called"));
        let seen = steps.lock().unwrap().clone();
        let call = seen.iter().position(|step| *step == "call").unwrap();
        assert!(seen[..call].contains(&"close"), "{threads} threads: {seen:?}");
        for mut client in clients {
            assert_eq!(client.read_to_end().matches("xxxxxxxxxx").count(), 30);
        }
    }
}

#[test]
fn a_client_that_is_slow_to_take_its_response_keeps_no_app_thread() {
    for (threads, size) in [(1, 100_000), (1, 8 << 20), (3, 8 << 20)] {
        let steps = Steps::default();
        let (app, begun) = app(&steps, 400, size, Duration::ZERO);
        let server = Server::with(app, |settings| settings.threads = threads);
        // They read nothing.
        let clients: Vec<_> = (0..threads).map(|_| streaming(&server, &begun)).collect();
        for _ in 0..3 {
            let mut other = server.client();
            other.send(CALL);
            assert!(other.read_to_end().ends_with("called"), "{threads} threads, {size} bytes");
        }
        assert!(!steps.lock().unwrap().contains(&"close"), "the responses are over");
        drop(clients);
        server.wait_until_empty();
    }
}
