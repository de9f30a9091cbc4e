//! A Rust app that panics, in a process of its own: the request is lost, the log says what to do, the worker lives.
//!
//! The program is both the test and, when the environment says so, the server.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;

const SERVES: &str = "FERRICORN_TEST_PANIC_SERVES";
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    if env::var_os(SERVES).is_some() {
        return ferricorn::main(|| {
            Router::new()
                .route("/", get(async || std::process::id().to_string()))
                .route("/panic", get(async || -> &str { panic!("\u{fc} \r\n \u{1b}[31m as asked for") }))
        });
    }
    a_panic_costs_one_request_and_is_logged_with_what_to_do();
    ExitCode::SUCCESS
}

/// Killed if the test fails before it has stopped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn a_panic_costs_one_request_and_is_logged_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let program = env::current_exe().expect("the path of this program");
    let child = Command::new(program)
        .args(["-b", "127.0.0.1:0", "-w", "1", "--error-logfile"])
        .arg(&log)
        .env(SERVES, "1")
        .spawn()
        .expect("the server starts");
    let _server = Server(child);
    let line = wait_for(&log, "Listening at: http://");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    let worker = ask(address, "/");
    assert!(worker.starts_with("HTTP/1.1 200 "), "{worker}");
    for _ in 0..3 {
        assert!(ask(address, "/panic").starts_with("HTTP/1.1 500 "));
    }
    let line =
        wait_for(&log, "A panic, which is a fault of ferricorn or of a Rust app; please report ours: ");
    assert!(line.contains("panic.rs:"), "the place is not named: {line}");
    wait_for(&log, "Error handling request GET /panic: internal error: ");
    assert!(!fs::read_to_string(&log).expect("a log").contains('\u{1b}'), "a control character in the log");
    let body = |answer: &str| answer.rsplit("\r\n").next().map(str::to_owned);
    assert_eq!(body(&ask(address, "/")), body(&worker), "another worker");
}

/// The first line of the log that contains `text`.
fn wait_for(log: &Path, text: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let so_far = fs::read_to_string(log).unwrap_or_default();
        if let Some(line) = so_far.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "no {text:?} in the log:\n{so_far}");
        sleep(Duration::from_millis(10));
    }
}

fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is whole");
    answer
}
