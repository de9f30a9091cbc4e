//! What is written down of each request: its access line, and who is to blame if it failed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use ferricorn_config::{HeaderMapPolicy, LogTarget, Settings};
use ferricorn_protocol::{Answer, AppFault, ResponseBody};
use ferricorn_unix::scoreboard::Errors;

use super::app::{TestApp, answer, head};
use super::{Server, wait_for};

/// A server with an access log in the folder.
struct Logged {
    server: Server,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Logged {
    fn with(app: TestApp, format: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let server = Server::with(app, |settings| {
            settings.accesslog = Some(LogTarget::File(path.clone()));
            settings.access_log_format = format.to_owned();
            change(settings);
        });
        Self { server, path, _folder: folder }
    }

    /// The lines, once there are so many.
    fn lines(&self, count: usize) -> Vec<String> {
        let read = || fs::read_to_string(&self.path).unwrap();
        wait_for("the access line", || read().lines().count() >= count);
        read().lines().map(str::to_owned).collect()
    }

    /// Requests that ended, and those of them that failed.
    fn counted(&self) -> (u64, Errors) {
        let snapshot = self.server.scoreboard.snapshot(0).unwrap();
        (snapshot.requests, snapshot.errors)
    }
}

const LINE: &str = r#"%(h)s %(b)s "%(r)s" %(s)s %(m)s %(U)s %(q)s %(H)s %(a)s %({x-y}i)s %({x}e)s %({x}o)s"#;

/// The access line of the only request that is sent, behind the address, and who is to blame.
fn line_of(bytes: &[u8], change: impl FnOnce(&mut Settings)) -> (String, Errors) {
    let logged = Logged::with(TestApp::echo(), LINE, change);
    logged.server.exchange(bytes);
    let lines = logged.lines(1);
    let (requests, errors) = logged.counted();
    assert_eq!((lines.len(), requests), (1, 1), "{lines:?}");
    (lines[0].strip_prefix("127.0.0.1 ").unwrap().to_owned(), errors)
}

const CLIENT: Errors = Errors { client: 1, app: 0, server: 0 };
const APP: Errors = Errors { client: 0, app: 1, server: 0 };

/// The access line of a request that is refused, behind the number of bytes that were sent.
fn refused(bytes: &[u8]) -> String {
    let (line, errors) = line_of(bytes, |settings| settings.deadlines.head = Duration::from_millis(500));
    assert_eq!(errors, CLIENT);
    let (sent, line) = line.split_once(' ').unwrap();
    assert!(sent.parse::<u32>().unwrap() > 0, "{sent} {line}");
    line.to_owned()
}

#[test]
fn a_head_that_is_refused_leaves_what_is_known_of_it() {
    let whole = |head: &str| refused(format!("{head}\r\n\r\n").as_bytes());
    assert_eq!(whole("GARBAGE"), r#""GARBAGE" 400 - - - - - - - -"#);
    assert_eq!(
        whole("GET /a%20b?c HTTP/1.1\r\nHost: a\r\nHost: b"),
        r#""GET /a%20b?c HTTP/1.1" 400 GET /a b c HTTP/1.1 - - - -"#
    );
    assert_eq!(
        whole("POST / HTTP/1.1\r\nTransfer-Encoding: zip"),
        r#""POST / HTTP/1.1" 501 POST /  HTTP/1.1 - - - -"#
    );
    assert_eq!(whole("PUT * HTTP/1.1\r\nExpect: x"), r#""PUT * HTTP/1.1" 400 PUT *  HTTP/1.1 - - - -"#);
    assert_eq!(whole("PUT / HTTP/1.1\r\nExpect: x"), r#""PUT / HTTP/1.1" 417 PUT /  HTTP/1.1 - - - -"#);
    let large = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(9000));
    assert_eq!(whole(&large), r#""GET / HTTP/1.1" 431 GET /  HTTP/1.1 - - - -"#);
    let long = whole(&format!("GET /{}", "x".repeat(5000)));
    assert_eq!(long, format!(r#""GET /{}" 414 - - - - - - - -"#, "x".repeat(1024 - 5)));
    assert_eq!(
        refused(b"GET /half HTTP/1.1\r\nHost"),
        r#""GET /half HTTP/1.1" 408 GET /half  HTTP/1.1 - - - -"#
    );
    assert_eq!(refused(b"GET /ha"), r#""GET /ha" 408 - - - - - - - -"#);
}

#[test]
fn bytes_of_a_refused_head_forge_nothing() {
    assert_eq!(
        refused(b"GET /\"\\\x1b[2J\xe9\0\r 1 HTTP/1.1\r\n\r\n"),
        r#""GET /\"\x5C\x1B[2J\xE9\x00\x0D 1 HTTP/1.1" 400 - - - - - - - -"#
    );
    assert_eq!(
        refused(b"GET /%0a\"?\x1b\" HTTP/\t\"\r\n\r\n"),
        r#""GET /%0a\"?\x1B\" HTTP/\x09\"" 400 GET /\x0A\" \x1B\" HTTP/\x09\" - - - -"#
    );
}

#[test]
fn a_refused_request_stands_behind_the_good_ones_before_it() {
    let logged = Logged::with(TestApp::echo(), "%(r)s %(s)s", |_| {});
    let good = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    logged.server.exchange(format!("{good}GET /3 HTTP/3\r\n\r\n").as_bytes());
    let lines = logged.lines(3);
    assert_eq!(lines, ["GET /1 HTTP/1.1 200", "GET /2 HTTP/1.1 200", "GET /3 HTTP/3 400"]);
    assert_eq!(logged.counted(), (3, CLIENT));
}

#[test]
fn requests_that_the_service_refuses_have_their_line() {
    let small = |settings: &mut Settings| settings.limits.request_body = Some(3);
    let (line, errors) = line_of(b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd", small);
    assert!(line.contains(r#""POST /a HTTP/1.1" 413 "#), "{line}");
    assert_eq!(errors, CLIENT);
    let chunked = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
    let (line, errors) = line_of(chunked, small);
    assert!(line.contains(r#""POST /a HTTP/1.1" 413 "#), "{line}");
    assert_eq!(errors, CLIENT);
    let broken = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n";
    let (line, errors) = line_of(broken, |_| {});
    assert!(line.contains(r#""POST /a HTTP/1.1" 400 "#), "{line}");
    assert_eq!(errors, CLIENT);
    let refuse = |settings: &mut Settings| settings.trust.header_map = HeaderMapPolicy::Refuse;
    let (line, errors) = line_of(b"GET /a HTTP/1.1\r\nA_B: c\r\n\r\n", refuse);
    assert!(line.contains(r#""GET /a HTTP/1.1" 400 "#), "{line}");
    assert_eq!(errors, CLIENT);
}

/// The blame for one answer of the app.
fn blame(give: impl Fn() -> Answer + Send + Sync + 'static) -> Errors {
    let server = Server::new(TestApp::new(move |_| give()));
    server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let snapshot = || server.scoreboard.snapshot(0).unwrap();
    wait_for("the end of the request", || snapshot().requests == 1);
    snapshot().errors
}

#[test]
fn every_answer_is_counted_once_whoever_gave_it() {
    let with = |status| move || answer(head(status, &[]), ResponseBody::Full(Bytes::from_static(b"text")));
    assert_eq!(blame(with(200)), Errors::default());
    assert_eq!(blame(with(304)), Errors::default());
    assert_eq!(blame(with(404)), CLIENT);
    assert_eq!(blame(with(503)), APP);
    assert_eq!(blame(|| Answer::Fault(AppFault::new("it failed"))), APP);
    assert_eq!(blame(|| panic!("a test")), APP);
    let wrong = || answer(head(200, &[("content-length", "x")]), ResponseBody::Empty);
    assert_eq!(blame(wrong), APP);
    let short = || answer(head(200, &[("content-length", "9")]), ResponseBody::Full("short".into()));
    assert_eq!(blame(short), APP);
}

#[test]
fn a_client_that_leaves_in_the_middle_is_to_blame_for_it() {
    let fate = std::sync::Arc::default();
    let server = Server::new(TestApp::new(move |_| {
        let more = |_| Ok(Some(Bytes::from(vec![b'x'; 10_000])));
        answer(head(200, &[]), super::app::pulled("first", &fate, more))
    }));
    let mut client = server.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until_contains("first");
    drop(client);
    let snapshot = || server.scoreboard.snapshot(0).unwrap();
    wait_for("the end of the request", || snapshot().requests == 1);
    assert_eq!(snapshot().errors, CLIENT);
}
