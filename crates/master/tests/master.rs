//! The master with real processes and real signals.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests may panic, and show the log then")]

mod molds;
mod support;

use std::io::Read;
use std::net::TcpListener;

use nix::sys::signal::Signal;
use support::{Server, eventually, lives, signal_to};

#[test]
fn it_starts_serves_and_stops_in_gunicorns_words() {
    let dir = tempfile::tempdir().unwrap();
    let pidfile = dir.path().join("a.pid");
    let setting = format!("pidfile={}", pidfile.display());
    let mut server = Server::start_in(dir, &["workers=2", &setting]);
    server.wait_for_lines("is ready", 2);
    server.wait_for("[INFO] Starting ferricorn 0.1.0");
    let listening = server.wait_for("[INFO] Listening at: http://127.0.0.1:");
    assert!(listening.ends_with(&format!(" ({})", server.pid())), "{listening}");
    server.wait_for("[INFO] Using worker: async");
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap(), format!("{}\n", server.pid()));
    let workers = server.worker_pids();
    assert!(workers.contains(&server.ask("hello").0));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), 0);
    server.wait_for("[INFO] Handling signal: term");
    server.wait_for_lines("Worker exiting (pid: ", 2);
    server.wait_for("[INFO] Shutting down: Master");
    assert!(!pidfile.exists());
    assert!(workers.iter().all(|&pid| !lives(pid)));
}

#[test]
fn a_worker_has_nothing_open_that_is_its_masters() {
    let server = Server::ready(3, &[]);
    // What was inherited from outside, standard error included, is open here, too.
    let outside = Server::descriptors(std::process::id().cast_signed());
    for pid in server.worker_pids() {
        let mut open = Server::descriptors(pid);
        open.retain(|link| !outside.contains(link));
        let count = |text: &str| open.iter().filter(|link| link.starts_with(text)).count();
        // The listener twice (the example's own handle) and its control socket.
        assert_eq!(count("socket:"), 3, "{open:?}");
        assert_eq!(count("/memfd:"), 1, "{open:?}");
        // The two ends of its signal pipe, and the read end of the life pipe.
        assert_eq!(count("pipe:"), 3, "{open:?}");
    }
}

#[test]
fn a_dead_worker_is_replaced_and_its_death_is_told_truthfully() {
    let server = Server::ready(2, &[]);
    let victim = server.worker_pids()[0];
    signal_to(victim, Signal::SIGKILL);
    // The rest depends on whether the control group tells.
    server.wait_for(&format!("[ERROR] Worker (pid:{victim}) was sent SIGKILL! "));
    server.wait_for_lines("is ready", 3);
    server.send("exit 7");
    server.wait_for("exited with code 7");
    server.wait_for_lines("is ready", 4);
}

#[test]
fn workers_that_cannot_load_the_app_end_the_server_with_their_code() {
    for (code, reason) in [(3, "Worker failed to boot."), (4, "App failed to load.")] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("boot"), format!("exit {code}")).unwrap();
        let mut server = Server::start_in(dir, &["workers=2"]);
        assert_eq!(server.exit_code(), code);
        server.wait_for(&format!("[ERROR] Reason: {reason}"));
    }
}

#[test]
fn a_reload_brings_the_new_code_and_lets_the_old_worker_finish() {
    let server = Server::ready(1, &[]);
    server.write("version", "two");
    let mut slow = server.send("sleep 2");
    server.wait_for("sleeps");
    server.signal(Signal::SIGHUP);
    server.wait_for_lines("is ready", 2);
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with(&format!("{} ", server.worker_pids()[0])), "{answer:?}");
    assert_eq!(server.ask("hello"), (server.worker_pids()[1], "two".to_owned()));
    server.wait_for("Worker exiting (pid: ");
}

#[test]
fn a_reload_that_fails_leaves_the_service_as_it_was() {
    let server = Server::ready(2, &[]);
    server.write("boot", "exit 3");
    server.signal(Signal::SIGHUP);
    server.wait_for("failed to boot, and has logged why. 2 workers go on serving");
    let old = server.worker_pids()[..2].to_vec();
    assert!(old.contains(&server.ask("hello").0));
    server.write("reload", "error no such setting: wrokers");
    server.signal(Signal::SIGHUP);
    server.wait_for("no such setting: wrokers");
    assert!(old.contains(&server.ask("hello").0));
    // And mended, it works.
    server.write("boot", "");
    server.write("reload", "workers=1");
    server.signal(Signal::SIGHUP);
    server.wait_for("Reloaded: a worker with the new code is ready");
    eventually("the old ones are gone", || old.iter().all(|&pid| !lives(pid)));
    assert!(!old.contains(&server.ask("hello").0));
}

#[test]
fn reloads_leave_no_descriptor_behind() {
    let server = Server::ready(2, &[]);
    let before = Server::descriptors(server.pid()).len();
    for round in 1..=10 {
        server.signal(Signal::SIGHUP);
        server.wait_for_lines("is ready", 2 + 2 * round);
        server.wait_for_lines("Worker exiting", 2 * round);
    }
    eventually("as few descriptors as before", || Server::descriptors(server.pid()).len() == before);
}

#[test]
fn ttin_and_ttou_change_the_number_of_workers() {
    let server = Server::ready(1, &[]);
    server.signal(Signal::SIGTTIN);
    server.wait_for("Handling signal: ttin");
    server.wait_for_lines("is ready", 2);
    server.signal(Signal::SIGTTOU);
    let line = server.wait_for("Worker exiting (pid: ");
    assert!(line.contains(&format!("pid: {}", server.worker_pids()[0])), "not the oldest: {line}");
}

#[test]
fn a_worker_that_leaves_by_itself_is_replaced() {
    let server = Server::ready(1, &[]);
    server.send("leave");
    server.wait_for("leaves of its own accord");
    server.wait_for_lines("is ready", 2);
    assert_eq!(server.ask("hello").0, server.worker_pids()[1]);
}

#[test]
fn a_call_without_progress_is_named_shown_and_ended() {
    let server = Server::ready(1, &["timeout=1"]);
    server.ask("hello");
    server.send("sleep 60");
    let victim = server.worker_pids()[0];
    server.wait_for(&format!("[CRITICAL] WORKER TIMEOUT (pid:{victim})"));
    let line = server.wait_for("GET /sleep has kept worker");
    assert!(line.contains("it had answered 1 requests before"), "{line}");
    server.wait_for("File \"app.py\", line 3 in view");
    server.wait_for(&format!("Worker (pid:{victim}) was sent SIGABRT!"));
    server.wait_for_lines("is ready", 2);
    assert_ne!(server.ask("hello").0, victim);
}

#[test]
fn a_stopped_worker_is_killed_and_replaced() {
    let server = Server::ready(2, &["timeout=1"]);
    let victim = server.worker_pids()[0];
    signal_to(victim, Signal::SIGSTOP);
    server.wait_for(&format!("Worker (pid:{victim}) was stopped by a signal"));
    server.wait_for(&format!("[CRITICAL] WORKER TIMEOUT (pid:{victim})"));
    server.wait_for_lines("is ready", 3);
    eventually("the victim is gone", || !lives(victim));
}

#[test]
fn the_graceful_timeout_ends_what_does_not_and_names_it() {
    let mut server = Server::ready(1, &["graceful_timeout=1"]);
    let _slow = server.send("sleep 60");
    eventually("the call has begun", || server.worker_pids().iter().all(|&pid| has_thread(pid)));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), 0);
    let line = server.wait_for("did not leave within the graceful timeout (1.0 s)");
    assert!(line.contains("in flight: GET /sleep ("), "{line}");
    assert_eq!(server.lines_with("out of memory"), Vec::<String>::new());
}

fn has_thread(pid: i32) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.count() > 1)
}

#[test]
fn int_ends_a_worker_that_is_still_loading() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("boot"), "hang").unwrap();
    let mut server = Server::start_in(dir, &["workers=2"]);
    server.wait_for_lines("Booting worker with pid", 2);
    server.signal(Signal::SIGINT);
    assert_eq!(server.exit_code(), 0);
    assert!(server.worker_pids().iter().all(|&pid| !lives(pid)));
}

#[test]
fn workers_leave_when_their_master_is_killed() {
    let server = Server::ready(2, &[]);
    server.signal(Signal::SIGKILL);
    eventually("nobody is left", || server.worker_pids().iter().all(|&pid| !lives(pid)));
}

#[test]
fn an_address_in_use_is_tried_five_times_and_told() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let mut server = Server::start(&[&format!("bind=127.0.0.1:{port}")]);
    assert_eq!(server.exit_code(), 1);
    server.wait_for_lines(&format!("[ERROR] Connection in use: ('127.0.0.1', {port})"), 5);
    server.wait_for_lines(&format!("[ERROR] connection to ('127.0.0.1', {port}) failed: [Errno 98] "), 5);
    let line = server.wait_for(&format!("Can't connect to ('127.0.0.1', {port})"));
    assert!(line.contains("--bind"), "{line}");
}

#[test]
fn a_second_master_respects_the_pidfile_of_the_first() {
    let first = Server::ready(1, &[]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pid");
    std::fs::write(&path, format!("{}\n", first.pid())).unwrap();
    let mut second = Server::start_in(dir, &[&format!("pidfile={}", path.display())]);
    assert_eq!(second.exit_code(), 1);
    second.wait_for(&format!(
        "Already running on PID {} (or pid file '{}' is stale)",
        first.pid(),
        path.display()
    ));
    assert!(path.exists());
}

#[test]
fn a_unix_socket_goes_with_its_master_but_not_with_a_worker() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let bind = format!("bind=unix:{}", path.display());
    let mut server = Server::start_in(dir, &["workers=1", &bind]);
    server.wait_for(&format!("Listening at: unix:{}", path.display()));
    server.wait_for("is ready");
    signal_to(server.worker_pids()[0], Signal::SIGTERM);
    server.wait_for_lines("is ready", 2);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    server.signal(Signal::SIGQUIT);
    assert_eq!(server.exit_code(), 0);
    assert!(!path.exists());
}

#[test]
fn inherited_sockets_are_served_and_other_addresses_then_do_not_count() {
    let socket = || {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("Listening at: http://{} (", socket.local_addr().unwrap());
        (socket, name)
    };
    let (listener, name) = socket();
    let server = Server::activated(listener);
    server.wait_for(&name);
    server.ask("hello");
    let (listener, name) = socket();
    let server = Server::with_socket(listener, &["bind=fd://0"]);
    server.wait_for(&name);
    server.ask("hello");
    // A reload goes on with the same socket.
    server.signal(Signal::SIGHUP);
    server.wait_for("Reloaded");
    server.ask("hello");
}

#[test]
fn a_reload_may_move_to_another_address() {
    let server = Server::ready(1, &[]);
    let before = server.connect().peer_addr().unwrap();
    let path = server.dir.path().join("b.sock");
    server.write("reload", &format!("bind=unix:{}", path.display()));
    server.signal(Signal::SIGHUP);
    server.wait_for(&format!("Listening at: unix:{}", path.display()));
    server.wait_for("Worker exiting");
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    eventually("the old address is closed", || std::net::TcpStream::connect(before).is_err());
}

#[test]
fn several_signals_at_once_are_all_obeyed() {
    let mut server = Server::ready(1, &[]);
    // Stopped, so that all of them are pending together.
    server.signal(Signal::SIGSTOP);
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH, Signal::SIGTERM] {
        server.signal(signal);
    }
    server.signal(Signal::SIGCONT);
    assert_eq!(server.exit_code(), 0);
    for word in ["usr1", "usr2", "term"] {
        server.wait_for(&format!("Handling signal: {word}"));
    }
    // The last one is seen first.
    server.wait_for("[WARNING] USR2 signal ignored. This master is stopping.");
}
