//! A pre-fork server that speaks no HTTP: the master with trivial workers, to try it by hand and to test it.
//!
//! ```text
//! cargo run -p ferricorn-master --example prefork -- DIR workers=2 bind=127.0.0.1:8000
//! ```
//!
//! A worker reads one line from each connection and does what it says: `hello` answers its pid and the content
//! of `DIR/version`, `sleep SECONDS` answers later, `leave` makes it leave as `--max-requests` does, and
//! `exit CODE` ends it on the spot. What a worker finds in `DIR/boot` when it starts decides over its boot:
//! `exit CODE`, `hang`, or nothing; what a mold (`preload_app=true`) finds in `DIR/preload` decides over that. A reload
//! reads `DIR/reload`: `key=value` lines, or `error TEXT`. An upgrade executes `DIR/program`.

#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ferricorn_config::{Dict, Facts, Layers, Settings};
use ferricorn_master::{Host, Mold, Outcome, run};
use ferricorn_protocol::{Hooks, NoHooks};
use ferricorn_telemetry::error_log;
use ferricorn_unix::control::{Incoming, Order, Report};
use ferricorn_unix::listener::Socket;
use ferricorn_unix::scoreboard::State;
use ferricorn_unix::{Away, Fork, Inheritance, clock, poll};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(dir) = arguments.next().map(PathBuf::from) else { return ExitCode::from(2) };
    let host = Files { dir, arguments: arguments.collect() };
    let settings = host.settings(&[]).expect("good arguments");
    error_log::init(&settings).expect("a log");
    match run(settings, Arc::new(NoHooks), &host) {
        Outcome::Exit(code) => ExitCode::from(code.0),
        Outcome::Worker(inheritance, ..) => ExitCode::from(work(*inheritance, &host.dir, None)),
        Outcome::Mold(mold) => ExitCode::from(preload(*mold, &host)),
    }
}

/// A host whose configuration is its command line, and a file at a reload.
struct Files {
    dir: PathBuf,
    arguments: Vec<String>,
}

impl Files {
    fn settings(&self, more: &[String]) -> Result<Settings, String> {
        let facts = Facts { cpus: 1, directory: self.dir.clone(), program: "prefork".to_owned() };
        let pairs = self.arguments.iter().chain(more).filter_map(|pair| pair.split_once('='));
        let values: Dict = pairs.map(|(key, value)| (key.to_owned(), value.into())).collect();
        let resolved = Layers::new().file("arguments", values).resolve(&facts);
        resolved.map(|resolved| resolved.settings).map_err(|errors| format!("{errors:?}"))
    }
}

impl Host for Files {
    fn fork_away(&self) -> io::Result<Away> {
        ferricorn_unix::fork_away()
    }

    fn fork(&self) -> io::Result<Fork> {
        ferricorn_unix::fork()
    }

    fn detached(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn reload(&self) -> Result<(Settings, Arc<dyn Hooks>), String> {
        let text = fs::read_to_string(self.dir.join("reload")).unwrap_or_default();
        match text.strip_prefix("error ") {
            Some(why) => Err(why.trim().to_owned()),
            None => {
                let settings = self.settings(&text.lines().map(str::to_owned).collect::<Vec<_>>())?;
                Ok((settings, Arc::new(NoHooks)))
            }
        }
    }

    fn execute(&self, variables: &[(&'static str, String)]) -> io::Error {
        let mut command = Command::new(self.dir.join("program"));
        command
            .arg(&self.dir)
            .args(&self.arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)));
        command.exec()
    }
}

/// The life of a mold, and of each worker that comes of it; returns the exit code.
fn preload(mold: Mold, host: &Files) -> u8 {
    let import = fs::read_to_string(host.dir.join("preload")).unwrap_or_default();
    if let Some(code) = import.trim().strip_prefix("exit ") {
        return code.parse().expect("a code");
    }
    while import.trim() == "hang" {
        thread::park();
    }
    let version = fs::read_to_string(host.dir.join("version")).unwrap_or_default();
    match mold.serve(host) {
        Outcome::Worker(inheritance, ..) => work(*inheritance, &host.dir, Some(version)),
        Outcome::Exit(code) => code.0,
        Outcome::Mold(_) => 255,
    }
}

/// The life of a worker, whose mold may have read the version; returns its exit code.
fn work(worker: Inheritance, dir: &Path, version: Option<String>) -> u8 {
    let boot = fs::read_to_string(dir.join("boot")).unwrap_or_default();
    if let Some(code) = boot.trim().strip_prefix("exit ") {
        return code.parse().expect("a code");
    }
    while boot.trim() == "hang" {
        thread::park();
    }
    let sockets: Vec<Socket> =
        worker.listeners.iter().map(|listener| listener.to_socket().expect("a socket")).collect();
    let read = || fs::read_to_string(dir.join("version")).unwrap_or_default();
    let version = version.unwrap_or_else(read);
    worker.signals.booted();
    worker.slot.set_state(State::Ready);
    worker.control.send(Report::Ready).expect("a master");
    loop {
        let mut fds = vec![worker.signals.as_fd(), worker.control.as_fd(), worker.alive.as_fd()];
        fds.extend(worker.listeners.iter().map(AsFd::as_fd));
        let ready = poll::readable(&fds, None).expect("poll");
        worker.slot.beat(clock::now_ms());
        let mut orders = worker.signals.take();
        while let Ok(Incoming::Frame(order)) = worker.control.receive() {
            orders.push(order);
        }
        if orders.iter().any(|order| !matches!(order, Order::Reopen | Order::Ask | Order::Close))
            || !worker.alive.is_alive()
        {
            tracing::info!("Worker exiting (pid: {})", std::process::id());
            return 0;
        }
        for (socket, _) in sockets.iter().zip(&ready[3..]).filter(|(_, ready)| **ready) {
            let Socket::Tcp(socket) = socket else { continue };
            if let Ok((stream, _)) = socket.accept()
                && let Err(code) = serve(stream, &worker, version.trim())
            {
                return code;
            }
        }
    }
}

/// Serves one connection. An error is the code with which the worker is to leave.
fn serve(mut stream: std::net::TcpStream, worker: &Inheritance, version: &str) -> Result<(), u8> {
    stream.set_nonblocking(false).expect("a socket");
    let mut line = String::new();
    // A client that leaves is no concern of this server.
    let _ = BufReader::new((&mut stream).take(100)).read_line(&mut line);
    let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let ticket = worker.slot.request_begin(clock::now_ms(), "GET", format!("/{word}").as_bytes());
    worker.slot.call_begin(0, clock::now_ms(), Some(ticket));
    match word {
        "exit" => return Err(rest.parse().expect("a code")),
        "leave" => {
            worker.control.send(Report::Leaving).expect("a master");
            tracing::info!("Worker exiting (pid: {})", std::process::id());
            return Err(0);
        }
        "sleep" => {
            tracing::info!("Worker (pid: {}) sleeps", std::process::id());
            sleep(worker, rest.parse().expect("seconds"));
        }
        _ => {}
    }
    worker.slot.call_end(0);
    worker.slot.request_end(ticket);
    let _ = write!(stream, "{} {version}", std::process::id());
    Ok(())
}

/// Sleeps, while another thread writes what stands for a stack, in place of the interpreter's signal handler.
fn sleep(worker: &Inheritance, seconds: u64) {
    let stacks = format!("/proc/self/fd/{}", worker.stacks.as_raw_fd());
    let mut stacks = OpenOptions::new().append(true).open(stacks).expect("a file");
    thread::scope(|scope| {
        let sleeper = scope.spawn(move || thread::sleep(Duration::from_secs(seconds)));
        while !sleeper.is_finished() {
            writeln!(stacks, "  File \"app.py\", line 3 in view").expect("a file");
            thread::sleep(Duration::from_millis(10));
        }
    });
}
