//! The example as a user starts it: its own process, a port that the kernel chose, signals, exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const BINARY: &str = env!("CARGO_BIN_EXE_axum-example");

/// A running example. It is killed if a test fails before it has stopped.
struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
    address: String,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let mut child = command()
            .args(["-b", "127.0.0.1:0", "--log-level", "debug"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let log = BufReader::new(child.stderr.take().expect("its stderr is piped"));
        let mut server = Self { child, log, address: String::new() };
        let line = server.wait_for("Listening at: http://");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        server.address = address.expect("the line names an address").to_owned();
        server
    }

    /// Reads the log up to the first line that contains `text`, and returns that line.
    fn wait_for(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let length = self.log.read_line(&mut line).expect("the log can be read");
            assert!(length > 0, "the log ended without {text:?}:\n{seen}");
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
        stream
    }

    /// Sends one request that closes its connection, and returns the answer's head and body.
    fn request(&self, line: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = self.connect();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("the head is sent");
        stream.write_all(body).expect("the body is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the answer is whole");
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the head has an end") + 4;
        (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end..].to_vec())
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid is an i32");
        kill(Pid::from_raw(pid), signal).expect("the master takes signals");
    }

    fn stop(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait_for("Shutting down: Master");
        self.child.wait().expect("the master ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has been waited for, which is as well. The workers follow their master.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example, in an environment that says nothing of its settings.
fn command() -> Command {
    let mut command = Command::new(BINARY);
    for variable in
        ["PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "GUNICORN_CMD_ARGS", "FERRICORN_CMD_ARGS"]
    {
        command.env_remove(variable);
    }
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the example runs");
    let text = |bytes| String::from_utf8(bytes).expect("messages are UTF-8");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

#[test]
fn requests_are_answered_and_term_ends_it_well() {
    let server = Server::start(&["-w", "2"]);
    let (head, body) = server.request("GET /", b"");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\nserver: ferricorn\r\n"), "{head}");
    assert_eq!(body, b"Hello, world!\n");
    let (head, _) = server.request("GET /nowhere", b"");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let (_, body) = server.request("GET /count", b"");
    assert_eq!(body, b"1\n");
    assert_eq!(server.stop(Signal::SIGTERM).code(), Some(0));
}

#[test]
fn a_body_comes_back_piece_by_piece() {
    let server = Server::start(&[]);
    let mut stream = server.connect();
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .expect("the first piece is sent");
    let mut reader = BufReader::new(stream.try_clone().expect("a socket can be shared"));
    let mut until = |text: &str| {
        let mut line = String::new();
        while line.trim_end() != text {
            line.clear();
            assert!(reader.read_line(&mut line).expect("the answer goes on") > 0, "no {text:?}");
        }
    };
    // The first piece is back while the second has not been sent.
    until("first");
    stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").expect("the second piece is sent");
    until("second");
    assert_eq!(server.stop(Signal::SIGINT).code(), Some(0));
}

#[test]
fn a_reload_brings_new_workers() {
    let mut server = Server::start(&["-w", "1"]);
    server.wait_for("is ready");
    assert_eq!(server.request("GET /count", b"").1, b"1\n");
    server.signal(Signal::SIGHUP);
    server.wait_for("Worker exiting");
    assert_eq!(server.request("GET /count", b"").1, b"1\n");
    assert_eq!(server.stop(Signal::SIGTERM).code(), Some(0));
}

#[test]
fn there_is_no_python_in_the_process() {
    let mut server = Server::start(&["-w", "1"]);
    let line = server.wait_for("Booting worker with pid: ");
    let worker = line.trim_end().rsplit(' ').next().expect("the line ends with a pid").to_owned();
    for pid in [server.child.id().to_string(), worker] {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process lives");
        assert!(!maps.contains("python"), "{maps}");
    }
    assert_eq!(server.stop(Signal::SIGTERM).code(), Some(0));
}

#[test]
fn the_layers_are_shown_with_their_sources() {
    let (code, out, _) = output(
        command()
            .args(["--print-config", "--timeout", "9"])
            .env("WEB_CONCURRENCY", "3")
            .env("PORT", "5055")
            .env("GUNICORN_CMD_ARGS", "--backlog 7 -b 127.0.0.1:1 -n 'two words'")
            .env("FERRICORN_CMD_ARGS", "--backlog=8"),
    );
    assert_eq!(code, 0);
    for line in [
        "workers = 3 # WEB_CONCURRENCY in the environment",
        "timeout = 9 # the command line, --timeout",
        "backlog = 8 # FERRICORN_CMD_ARGS, --backlog",
        "bind = [\"127.0.0.1:1\"] # GUNICORN_CMD_ARGS, --bind",
        "proc_name = \"two words\" # GUNICORN_CMD_ARGS, --name",
        "keepalive = 75 # default",
    ] {
        let found = out.lines().any(|found| found.split_whitespace().collect::<Vec<_>>().join(" ") == line);
        assert!(found, "{line} is not in\n{out}");
    }
}

#[test]
fn what_is_wrong_is_told_and_gives_gunicorns_exit_code() {
    let told = |flags: &[&str]| output(command().args(flags));
    let (code, _, error) = told(&["--no-such-flag"]);
    assert_eq!(code, 2);
    assert!(error.contains("--no-such-flag"), "{error}");
    let (code, _, error) = told(&["--workers", "many"]);
    assert_eq!(code, 2);
    assert!(error.contains("many") && error.contains("--workers"), "{error}");
    let (code, _, error) = told(&["--backlog=-1", "--certfile", "a.pem", "-k", "eventlet"]);
    assert_eq!(code, 1);
    for word in ["backlog", "certfile", "eventlet", "async"] {
        assert!(error.contains(word), "{word} is not in {error}");
    }
    let (code, _, error) = told(&["--access-logformat", "%(nothing)", "--access-logfile", "-"]);
    assert_eq!(code, 1);
    assert!(error.contains("access_log_format"), "{error}");
    let (code, _, error) = told(&["--error-logfile", "/no/such/folder/log"]);
    assert_eq!(code, 1);
    assert!(error.contains("/no/such/folder/log"), "{error}");
    let (code, _, error) = told(&["--access-logfile", "/no/such/folder/log"]);
    assert_eq!(code, 1);
    assert!(error.contains("/no/such/folder/log") && !error.contains("Booting"), "{error}");
    let (code, _, error) = told(&["--chdir", "/no/such/folder"]);
    assert_eq!(code, 1);
    assert!(error.contains("/no/such/folder"), "{error}");
    let (code, _, error) = told(&["-c", "/no/such/conf.py"]);
    assert_eq!(code, 1);
    assert!(error.contains("/no/such/conf.py"), "{error}");
}

#[test]
fn help_is_grouped_as_gunicorns_documentation() {
    let (code, out, _) = output(command().arg("--help"));
    assert_eq!(code, 0);
    let places: Vec<_> =
        ["Config File", "Server Socket", "Worker Processes", "Security", "Server Mechanics", "Logging"]
            .map(|title| out.find(&format!("{title}:")).unwrap_or_else(|| panic!("{title} is not in {out}")))
            .to_vec();
    assert!(places.is_sorted());
    assert!(out.contains("--limit-request-field_size") && out.contains("--log-file"));
    assert!(!out.contains("--certfile"), "a flag without effect is shown");
    let (code, out, _) = output(command().arg("-v"));
    assert_eq!((code, out.as_str()), (0, concat!("ferricorn (version ", env!("CARGO_PKG_VERSION"), ")\n")));
}
