//! A real master in a process of its own: started, sent signals, and read line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) dir: TempDir,
    process: Child,
    log: Arc<(Mutex<Vec<String>>, Condvar)>,
}

/// The example program, which Cargo builds beside the tests.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/prefork");
    assert!(path.exists(), "build it first: cargo build -p ferricorn-master --example prefork");
    path
}

impl Server {
    /// Starts a master with these settings and a port that the kernel chooses.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings)
    }

    /// The same, in a directory that was prepared.
    pub(crate) fn start_in(dir: TempDir, settings: &[&str]) -> Self {
        Self::launch(Command::new(program()).stdin(Stdio::null()), dir, settings)
    }

    /// Starts one that inherits a listening socket as descriptor 3, as systemd passes it.
    pub(crate) fn activated(socket: TcpListener) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null"]).arg(program());
        shell.stdin(OwnedFd::from(socket));
        Self::launch(&mut shell, tempfile::tempdir().unwrap(), &[])
    }

    /// Starts one that inherits a listening socket as descriptor 0.
    pub(crate) fn with_socket(socket: TcpListener, settings: &[&str]) -> Self {
        let mut command = Command::new(program());
        Self::launch(command.stdin(OwnedFd::from(socket)), tempfile::tempdir().unwrap(), settings)
    }

    fn launch(command: &mut Command, dir: TempDir, settings: &[&str]) -> Self {
        command.arg(dir.path()).args(["bind=127.0.0.1:0", "loglevel=debug"]).args(settings);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                writer.0.lock().unwrap().push(line);
                writer.1.notify_all();
            }
        });
        Self { dir, process, log }
    }

    /// The same, with all its workers ready.
    pub(crate) fn ready(workers: usize, settings: &[&str]) -> Self {
        let number = format!("workers={workers}");
        let server = Self::start(&[&[number.as_str()], settings].concat());
        server.wait_for_lines("is ready", workers);
        server
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_to(self.pid(), signal);
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        // A failed assertion in another place must not hide the log.
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines so far that contain a text.
    pub(crate) fn lines_with(&self, text: &str) -> Vec<String> {
        self.lines().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Waits until so many lines contain a text, and returns them.
    pub(crate) fn wait_for_lines(&self, text: &str, count: usize) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.lines();
        loop {
            let found: Vec<String> = lines.iter().filter(|line| line.contains(text)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited for {count} times {text:?}, the log is\n{}", lines.join("\n"));
            lines = self.log.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_lines(text, 1).remove(0)
    }

    /// The number in parentheses or behind a colon in `(pid:N)` or `pid: N`.
    pub(crate) fn worker_pids(&self) -> Vec<i32> {
        let booted = self.lines_with("Booting worker with pid: ");
        booted.iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let line = self.wait_for("Listening at: http://");
        let address = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a command; the answer can be read from what is returned.
    pub(crate) fn send(&self, command: &str) -> TcpStream {
        let mut stream = self.connect();
        writeln!(stream, "{command}").unwrap();
        stream
    }

    /// Sends a command and returns the answer: the pid of the worker, and its version.
    pub(crate) fn ask(&self, command: &str) -> (i32, String) {
        let mut answer = String::new();
        self.send(command).read_to_string(&mut answer).unwrap();
        let (pid, version) = answer.split_once(' ').unwrap_or_else(|| panic!("no answer: {answer:?}"));
        (pid.parse().unwrap(), version.to_owned())
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < end, "it did not end, the log is\n{}", self.lines().join("\n"));
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Open descriptors of a process: what each is.
    pub(crate) fn descriptors(pid: i32) -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Server {
    /// The workers leave with their master.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for pid in self.worker_pids() {
            // Those that are stopped, hang or sleep would not notice. Only if it still is one of ours.
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name == "ferricorn\n" {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if thread::panicking() {
            eprintln!("the log was\n{}", self.lines().join("\n"));
        }
    }
}

pub(crate) fn signal_to(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Whether a process exists and is no zombie.
pub(crate) fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until something holds that no line tells.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
