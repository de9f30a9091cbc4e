//! A whole worker in this process: literal bytes in, literal bytes out.

mod app;
mod bodies;
mod books;
mod crowd;
mod deadlines;
mod departures;
mod hints;
pub(crate) mod host;
mod hosted;
mod keepalive;
mod lives;
mod log;
mod panics;
mod proxies;
mod queue;
mod quiet;
mod responses;
mod rules;
mod siblings;
mod slow;
mod streams;
mod takeover;
mod ties;
mod websocket;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferricorn_config::{Layers, Settings};
use ferricorn_protocol::{App, Drive};
use ferricorn_telemetry::AccessLog;
use ferricorn_unix::listener::Options;
use ferricorn_unix::scoreboard::Scoreboard;
use ferricorn_unix::{Address, Listener};
use nix::libc::linger;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Linger;

use crate::run::assemble;
use crate::worker::Worker;
use crate::{life, seat};

/// How long a test waits for bytes before it calls them missing.
const PATIENCE: Duration = Duration::from_secs(10);

/// All ways to call an app.
const DRIVES: [Drive; 3] = [Drive::Seat, Drive::Task, Drive::Hosted];

/// A worker that serves until it is dropped.
struct Server {
    address: SocketAddr,
    worker: Arc<Worker>,
    scoreboard: Scoreboard,
    thread: Option<JoinHandle<()>>,
}

fn settings() -> Settings {
    let facts =
        ferricorn_config::Facts { cpus: 1, directory: std::env::temp_dir(), program: "tests".to_owned() };
    Layers::new().resolve(&facts).unwrap().settings
}

impl Server {
    fn new(app: impl App) -> Self {
        Self::with(app, |_| {})
    }

    fn with(app: impl App, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
        let listener =
            Listener::bind(&address, Options { backlog: 64, umask: 0, reuse_port: false }).unwrap();
        let ferricorn_unix::Local::Tcp(address) = *listener.local() else { panic!("not TCP") };
        let scoreboard = Scoreboard::create().unwrap();
        let slot = scoreboard.slot(0).unwrap();
        let log = AccessLog::open(&settings).unwrap().map(Arc::new);
        let (made, worker) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (driver, worker) = assemble(settings, Arc::new(app), slot, log).unwrap();
            let life = life::live(worker.clone(), vec![listener], || {}, |_| {});
            driver.enter(|| worker.spawner.spawn(life));
            made.send(worker.clone()).unwrap();
            driver.run(&worker).unwrap();
        });
        Self { address, worker: worker.recv().unwrap(), scoreboard, thread: Some(thread) }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new() }
    }

    /// Sends bytes and reads until the server closes.
    fn exchange(&self, bytes: &[u8]) -> String {
        let mut client = self.client();
        client.send(bytes);
        client.read_to_end()
    }

    fn wait_until_empty(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.worker.connections.count() > 0 {
            assert!(Instant::now() < deadline, "a connection is still open");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn seat(&self) -> &seat::Shared<crate::job::Job> {
        &self.worker.seat
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seat().stop();
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            assert!(joined.is_ok() || std::thread::panicking(), "the worker panicked");
        }
    }
}

/// A client that speaks bytes.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Leaves with a reset.
    fn reset(self) {
        setsockopt(&self.stream, Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
    }

    /// Reads until what was read ends with `end`, and returns it.
    fn read_until(&mut self, end: &str) -> String {
        self.read_while(|read| !read.ends_with(end.as_bytes()))
    }

    /// Reads until what was read contains `part`, and returns it.
    fn read_until_contains(&mut self, part: &str) -> String {
        self.read_while(|read| !String::from_utf8_lossy(read).contains(part))
    }

    fn read_while(&mut self, more: impl Fn(&[u8]) -> bool) -> String {
        while more(&self.read) {
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("the server said nothing more");
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    fn read_to_end(&mut self) -> String {
        self.stream.read_to_end(&mut self.read).expect("the server did not close");
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}

/// Waits for what is certain to come.
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The body behind the head of one response.
fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a whole head").1
}
