//! Requests on kept-alive connections of a worker that is busy: they wait, their wait is told, and it may have a limit.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ferricorn_config::{LogTarget, Settings};
use ferricorn_protocol::Drive;
use ferricorn_unix::scoreboard::Errors;

use super::app::{TestApp, full};
use super::{Client, PATIENCE, Server, body, wait_for};

const LIMIT: Duration = Duration::from_millis(700);

/// A worker whose `/wait` says that it was entered and waits to be let go.
struct Busy {
    server: Server,
    begun: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
    calls: Arc<AtomicUsize>,
}

impl Busy {
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let (begin, begun) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let app = TestApp::new(move |request| {
            counted.fetch_add(1, SeqCst);
            if request.head.uri.path() == "/wait" {
                begin.send(()).unwrap();
                gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            full("served")
        });
        Self { server: Server::with(app, change), begun, go, calls }
    }

    /// A client that has a connection already, and one whose request keeps the app thread.
    fn clients(&self) -> (Client, Client) {
        let mut kept = self.server.client();
        kept.send(b"GET /kept HTTP/1.1\r\nHost: a\r\n\r\n");
        kept.read_until("served");
        let mut slow = self.server.client();
        slow.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        self.begun.recv_timeout(PATIENCE).unwrap();
        (kept, slow)
    }
}

fn logged(path: &Path) -> impl FnOnce(&mut Settings) {
    let path = path.to_owned();
    move |settings| {
        settings.accesslog = Some(LogTarget::File(path));
        settings.access_log_format = "%(U)s %(s)s %(queue)s".to_owned();
    }
}

/// Path, status, and the wait in seconds.
fn lines(path: &Path, count: usize) -> Vec<(String, String, f64)> {
    let read = || fs::read_to_string(path).unwrap();
    wait_for("the access lines", || read().lines().count() >= count);
    let split = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        (words[0].to_owned(), words[1].to_owned(), words[2].parse().unwrap_or(f64::NAN))
    };
    read().lines().map(split).collect()
}

#[test]
fn the_access_log_tells_how_long_a_request_waited_for_an_app_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let busy = Busy::with(logged(&path));
    let (mut kept, mut slow) = busy.clients();
    kept.send(b"GET /queued HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for("the request", || busy.server.scoreboard.snapshot(0).unwrap().in_flight.len() == 2);
    std::thread::sleep(LIMIT);
    busy.go.send(()).unwrap();
    slow.read_until("served");
    kept.read_until("served");
    let lines = lines(&path, 3);
    let wait = |path: &str| lines.iter().find(|line| line.0 == path).unwrap().2;
    let limit = LIMIT.as_secs_f64();
    assert!(wait("/kept") < limit && wait("/wait") < limit, "{lines:?}");
    assert!((limit..10.0).contains(&wait("/queued")), "{lines:?}");
}

#[test]
fn only_what_waits_for_an_app_thread_has_waited() {
    let folder = tempfile::tempdir().unwrap();
    let answered = |name: &str, app: TestApp, request: &[u8]| {
        let path = folder.path().join(name);
        let server = Server::with(app, logged(&path));
        server.exchange(request);
        lines(&path, 1).remove(0)
    };
    let good = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for drive in [Drive::Task, Drive::Hosted] {
        let (_, status, wait) = answered(&format!("{drive:?}"), TestApp::of(drive, |_| full("")), good);
        assert!(status == "200" && wait.is_nan(), "{drive:?} {wait}");
    }
    let (_, status, wait) = answered("refused", TestApp::new(|_| full("")), b"GET /\r\n\r\n");
    assert!(status == "400" && wait.is_nan(), "{wait}");
}

#[test]
fn a_request_that_waits_too_long_is_told_when_to_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let busy = Busy::with(|settings| {
        logged(&path)(settings);
        settings.queue_timeout = Some(LIMIT);
    });
    let (mut kept, mut slow) = busy.clients();
    kept.send(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
    let answer = kept.read_to_end();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(body(&answer).contains("try again"), "{answer}");
    // Whoever has an app thread already keeps it for as long as it likes.
    busy.go.send(()).unwrap();
    assert_eq!(body(&slow.read_until("served")), "served");
    assert_eq!(busy.calls.load(SeqCst), 2, "the app was called for a request that was answered already");
    let late = lines(&path, 3).into_iter().find(|line| line.0 == "/late").unwrap();
    assert!(late.1 == "503" && (LIMIT.as_secs_f64()..10.0).contains(&late.2), "{late:?}");
    let seen = busy.server.scoreboard.snapshot(0).unwrap();
    assert_eq!(seen.errors, Errors { client: 0, app: 0, server: 1 });
}

#[test]
fn a_request_whose_turn_comes_in_time_is_served() {
    let busy = Busy::with(|settings| settings.queue_timeout = Some(PATIENCE));
    let (mut kept, mut slow) = busy.clients();
    kept.send(b"GET /queued HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for("the request", || busy.server.scoreboard.snapshot(0).unwrap().in_flight.len() == 2);
    busy.go.send(()).unwrap();
    slow.read_until("served");
    kept.read_until("served");
    assert_eq!(busy.calls.load(SeqCst), 3);
}
