//! Connections that the app takes over: it has the socket alone, and the server answers nothing.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use ferricorn_config::{LogTarget, Settings};
use ferricorn_protocol::{
    Answer, App, AppFault, Drive, Early, Guest, Request, Response, ResponseBody, Taken,
};
use ferricorn_unix::scoreboard::Errors;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::{TimeVal, TimeValLike};
use tokio::io::AsyncWriteExt;

use super::app::{TestApp, full, head};
use super::{PATIENCE, Server, wait_for};

const PLAIN: &str = "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n";
const TAKE: &str = "GET /take HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &str = "GET /take HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/// The way to the client while the app is called.
fn early(request: &Request) -> Arc<dyn Early> {
    request.early.clone().unwrap()
}

/// The connection of a request, as a file. If a test fails nobody may be left to end it, so a read of it ends by itself.
fn take(request: &Request) -> (File, Box<dyn Send + Sync>) {
    let Taken { descriptor, lease } = try_to_take(&*early(request)).unwrap();
    let patience = TimeVal::seconds(PATIENCE.as_secs().try_into().unwrap());
    setsockopt(&descriptor, ReceiveTimeout, &patience).unwrap();
    (File::from(descriptor), lease)
}

fn try_to_take(early: &dyn Early) -> io::Result<Taken> {
    match early.takeover().unwrap().take_over(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(taken) => taken,
        Poll::Pending => panic!("it does not block"),
    }
}

/// What a call gives that has taken the connection over.
fn nothing() -> Answer {
    Answer::Begun(ResponseBody::Empty)
}

/// An app that answers with a future, and whose interface knows nothing but requests and responses.
struct Cooperative(TestApp);

impl App for Cooperative {
    fn drive(&self) -> Drive {
        self.0.drive()
    }

    fn converses(&self) -> bool {
        false
    }

    fn call(&self, request: Box<Request>) -> Answer {
        self.0.call(request)
    }

    fn host(&self, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
        self.0.host(guest)
    }
}

/// One that takes `/take` over and says back what it hears, says a word and fails at `/fails`, and gives its wish up for an
/// answer at `/instead`.
fn cooperative() -> Cooperative {
    Cooperative(TestApp::hosted(|mut request| {
        let server = request.takeover.take().unwrap();
        let path = request.path().to_vec();
        Answer::Later(Box::pin(async move {
            let plain =
                |text| Box::new(Response::new(head(200, &[]), ResponseBody::Full(Bytes::from_static(text))));
            match path.as_slice() {
                b"/plain" => return Ok(plain(b"plain")),
                b"/instead" => {
                    assert!(server.take_over(&mut Context::from_waker(Waker::noop())).is_pending());
                    return Ok(plain(b"instead"));
                }
                _ => {}
            }
            let Taken { descriptor, lease } = poll_fn(|cx| server.take_over(cx)).await.unwrap();
            let socket = TcpStream::from(descriptor);
            socket.set_nonblocking(true).unwrap();
            let mut socket = tokio::net::TcpStream::from_std(socket).unwrap();
            if path == b"/fails" {
                socket.write_all(b"so far").await.unwrap();
                return Err(AppFault::new("a fault"));
            }
            let (mut from, mut to) = socket.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
            drop(lease);
            Ok(plain(b"dropped"))
        }))
    }))
}

/// An app that takes `/take` over, and answers everything else.
fn app(call: impl Fn(&mut File) -> Answer + Send + Sync + 'static) -> TestApp {
    TestApp::new(move |request| {
        if !matches!(request.path(), b"/take" | b"take:1") {
            return full("plain");
        }
        let (mut socket, _lease) = take(&request);
        call(&mut socket)
    })
}

/// An app that says back what it hears, until the client ends.
fn echo() -> TestApp {
    app(|socket| {
        let mut bytes = [0; 100];
        while let Ok(count @ 1..) = socket.read(&mut bytes) {
            socket.write_all(&bytes[..count]).unwrap();
        }
        nothing()
    })
}

#[test]
fn the_app_has_the_connection_and_nothing_else_is_said_on_it() {
    let server = Server::new(echo());
    let mut client = server.client();
    client.send(TAKE.as_bytes());
    client.send(b"one");
    assert_eq!(client.read_until("one"), "one");
    client.send(PLAIN.as_bytes());
    assert_eq!(client.read_until("\r\n\r\n"), PLAIN);
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read_to_end(), "");
    server.wait_until_empty();
    // The worker is as good as new.
    assert!(
        server
            .exchange(PLAIN.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
            .ends_with("plain")
    );
}

#[test]
fn responses_before_are_written_first_and_what_stands_behind_is_read_first() {
    let server = Server::new(echo());
    for (request, behind) in [
        (UPGRADE.to_owned(), "no request at all\r\n\r\n".to_owned()),
        (UPGRADE.to_owned(), PLAIN.to_owned()),
        (UPGRADE.to_owned(), "x".repeat(3000)),
        (TAKE.to_owned(), PLAIN.to_owned()),
        (TAKE.to_owned(), "GET /begun".to_owned()),
        (TAKE.to_owned(), format!("{PLAIN}no request at all\r\n\r\n")),
        (TAKE.replace("GET", "CONNECT").replace(" /take ", " take:1 "), "tunnelled".to_owned()),
        (format!("{PLAIN}{TAKE}"), format!("{PLAIN}{PLAIN}")),
    ] {
        let before = 1 + usize::from(request.starts_with(PLAIN));
        let mut client = server.client();
        client.send(format!("{PLAIN}{request}{behind}").as_bytes());
        let heard = client.read_until(&behind);
        let answers = heard.strip_suffix(&behind).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), before, "{heard}");
        assert!(answers.ends_with("plain"), "{heard}");
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read_to_end(), "");
    }
    server.wait_until_empty();
}

#[test]
fn an_app_that_answers_with_a_future_takes_over_too() {
    let server = Server::new(cooperative());
    let mut client = server.client();
    client.send(format!("{PLAIN}{TAKE}").as_bytes());
    client.read_until("plain");
    for word in ["one", "two"] {
        client.send(word.as_bytes());
        client.read_until(word);
    }
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read_to_end(), "");
    assert_eq!(server.exchange(TAKE.replace("/take", "/fails").as_bytes()), "so far");
    // A wish that was given up is nothing to the next request.
    let mut client = server.client();
    client.send(TAKE.replace("/take", "/instead").as_bytes());
    client.read_until("instead");
    client.send(PLAIN.as_bytes());
    client.read_until("plain");
    drop(client);
    server.wait_until_empty();
    assert_eq!(server.scoreboard.snapshot(0).unwrap().errors, Errors { client: 0, app: 1, server: 0 });
}

#[test]
fn what_is_said_last_arrives_though_more_was_read_ahead_and_the_socket_is_left_open() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let server = Server::new(app(move |socket| {
        socket.write_all(&vec![b'x'; 1_000_000]).unwrap();
        socket.write_all(b"the end").unwrap();
        keep.lock().unwrap().push(socket.try_clone().unwrap());
        nothing()
    }));
    for request in [TAKE.to_owned(), format!("{UPGRADE}ahead")] {
        let heard = server.exchange(request.as_bytes());
        assert!(heard.len() == 1_000_007 && heard.ends_with("the end"), "{}", heard.len());
    }
    server.wait_until_empty();
}

#[test]
fn a_thread_that_still_reads_when_the_call_has_returned_reads_the_end() {
    for request in [TAKE.to_owned(), format!("{UPGRADE}ahead")] {
        let (tells, told) = channel();
        let tells = Mutex::new(tells);
        let server = Server::new(app(move |socket| {
            let (mut socket, tells) = (socket.try_clone().unwrap(), tells.lock().unwrap().clone());
            std::thread::spawn(move || {
                let mut heard = Vec::new();
                let _ = socket.read_to_end(&mut heard);
                tells.send(heard.len()).unwrap();
            });
            nothing()
        }));
        // The client stays.
        let mut client = server.client();
        client.send(request.as_bytes());
        assert_eq!(client.read_to_end(), "");
        assert!(told.recv_timeout(PATIENCE).unwrap() <= 5);
        server.wait_until_empty();
    }
}

#[test]
fn a_socket_that_the_app_closes_is_closed_while_the_call_goes_on() {
    for request in [TAKE.to_owned(), format!("{UPGRADE}ahead")] {
        let (goes, go) = channel::<()>();
        let go = Mutex::new(go);
        let server = Server::new(TestApp::new(move |request| {
            let (socket, lease) = take(&request);
            drop((socket, lease));
            go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            nothing()
        }));
        assert_eq!(server.exchange(request.as_bytes()), "");
        assert_eq!(server.scoreboard.snapshot(0).unwrap().in_flight.len(), 1);
        goes.send(()).unwrap();
        server.wait_until_empty();
    }
}

#[test]
fn when_the_worker_drains_the_app_reads_the_end_and_may_say_a_last_word() {
    for request in [TAKE.to_owned(), format!("{UPGRADE}ahead")] {
        let server = Server::new(app(|socket| {
            socket.write_all(b"hello").unwrap();
            let mut heard = Vec::new();
            socket.read_to_end(&mut heard).unwrap();
            socket.write_all(b"bye").unwrap();
            nothing()
        }));
        let mut client = server.client();
        client.send(request.as_bytes());
        client.read_until("hello");
        server.worker.lifecycle.drain();
        assert_eq!(client.read_to_end(), "bye");
        server.wait_until_empty();
    }
}

/// Whether the connection can be taken over after this.
fn after(act: impl Fn(&Request, &Sender<String>) + Send + Sync + 'static) -> (Server, impl Fn() -> String) {
    let (tells, told) = channel();
    let tells = Mutex::new(tells);
    let server = Server::new(TestApp::new(move |request| {
        act(&request, &tells.lock().unwrap());
        nothing()
    }));
    (server, move || told.recv_timeout(PATIENCE).unwrap())
}

fn refusal(request: &Request) -> String {
    match try_to_take(&*early(request)) {
        Ok(_) => "taken".to_owned(),
        Err(error) => format!("{:?}: {error}", error.kind()),
    }
}

#[test]
fn a_connection_is_not_taken_over_once_the_response_has_begun_nor_twice() {
    let (server, told) = after(|request, tells| {
        early(request).begin(head(200, &[]), Bytes::from_static(b"begun")).unwrap();
        tells.send(refusal(request)).unwrap();
    });
    assert!(
        server
            .exchange(TAKE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
            .contains("begun")
    );
    assert_eq!(told(), "Other: the response has begun, so the connection cannot be taken over");

    let (server, told) = after(|request, tells| {
        let _taken = take(request);
        assert!(early(request).begin(head(200, &[]), Bytes::from_static(b"begun")).is_err());
        tells.send(refusal(request)).unwrap();
    });
    assert_eq!(server.exchange(TAKE.as_bytes()), "");
    assert_eq!(told(), "Other: the connection was taken over already");
}

#[test]
fn a_connection_whose_client_has_reset_it_is_closed_or_fails_at_its_first_use() {
    let (goes, go) = channel::<()>();
    let go = Mutex::new(go);
    let (server, told) = after(move |request, tells| {
        tells.send("called".to_owned()).unwrap();
        go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        let word = match try_to_take(&*early(request)) {
            Ok(taken) => File::from(taken.descriptor).read(&mut [0]).unwrap_err().kind(),
            Err(error) => error.kind(),
        };
        tells.send(format!("{word:?}")).unwrap();
    });
    let mut client = server.client();
    client.send(TAKE.as_bytes());
    assert_eq!(told(), "called");
    client.reset();
    goes.send(()).unwrap();
    let word = told();
    assert!(matches!(word.as_str(), "ConnectionReset" | "BrokenPipe"), "{word}");
    server.wait_until_empty();
}

#[test]
fn to_look_at_a_connection_changes_nothing_and_a_look_at_a_closed_one_fails() {
    let (keeps, kept) = channel::<Arc<dyn Early>>();
    let keeps = Mutex::new(keeps);
    let server = Server::new(TestApp::new(move |request| {
        let early = early(&request);
        let seen: OwnedFd = early.takeover().unwrap().look().unwrap();
        let seen = std::net::TcpStream::from(seen);
        let answer = full(seen.peer_addr().unwrap().to_string());
        keeps.lock().unwrap().send(early).unwrap();
        answer
    }));
    let mut client = server.client();
    client.send(PLAIN.as_bytes());
    let address = client.stream.local_addr().unwrap().to_string();
    client.read_until(&address);
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.read_to_end();
    server.wait_until_empty();
    let error = kept.recv().unwrap().takeover().unwrap().look().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn the_books_show_the_call_while_it_lasts_without_a_clock_and_blame_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let logged = |settings: &mut Settings| {
        settings.accesslog = Some(LogTarget::File(path.clone()));
        settings.access_log_format = "%(U)s %(s)s %(B)s".to_owned();
    };
    let server = Server::with(
        TestApp::new(|request| {
            if request.path() == b"/fails" {
                drop(take(&request));
                return Answer::Fault(AppFault::new("a fault"));
            }
            let (mut socket, _lease) = take(&request);
            let _ = socket.read(&mut [0]);
            nothing()
        }),
        logged,
    );
    let snapshot = || server.scoreboard.snapshot(0).unwrap();
    for request in [UPGRADE, TAKE] {
        let mut client = server.client();
        client.send(request.as_bytes());
        wait_for("the clock's end", || snapshot().in_flight.len() == 1 && snapshot().calls.is_empty());
        std::thread::sleep(Duration::from_millis(20));
        client.send(b"x");
        assert_eq!(client.read_to_end(), "");
        server.wait_until_empty();
    }
    server.exchange(TAKE.replace("/take", "/fails").as_bytes());
    server.wait_until_empty();
    let lines = || std::fs::read_to_string(&path).unwrap();
    wait_for("the lines", || lines().lines().count() == 3);
    assert_eq!(lines(), "/take 101 0\n/take - 0\n/fails - 0\n");
    assert_eq!((snapshot().requests, snapshot().errors), (3, Errors { client: 0, app: 1, server: 0 }));
    assert_eq!(snapshot().in_flight, []);
    assert_eq!(snapshot().latency.iter().sum::<u64>(), 0);
}
