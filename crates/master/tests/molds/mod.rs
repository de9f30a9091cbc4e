//! Workers that are forked from a mold.

use nix::sys::signal::Signal;

use crate::support::{Server, eventually, lives, signal_to};

const PRELOAD: &str = "preload_app=true";

fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn molds(server: &Server) -> Vec<i32> {
    let booted = server.lines_with("Booting mold with pid: ");
    booted.iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

/// A server whose app says which version the mold has read.
fn preloaded(workers: usize) -> Server {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("version"), "one").unwrap();
    let server = Server::start_in(dir, &[&format!("workers={workers}"), PRELOAD]);
    server.wait_for_lines("is ready", workers);
    server
}

#[test]
fn workers_are_the_masters_and_have_what_the_mold_has_read() {
    let mut server = preloaded(3);
    let (workers, mold) = (server.worker_pids(), molds(&server)[0]);
    assert!([&workers[..], &[mold]].concat().iter().all(|&pid| parent(pid) == server.pid()));
    server.write("version", "two");
    signal_to(workers[0], Signal::SIGKILL);
    server.wait_for(&format!("Worker (pid:{}) was sent SIGKILL!", workers[0]));
    server.wait_for_lines("is ready", 4);
    signal_to(workers[1], Signal::SIGSTOP);
    signal_to(workers[2], Signal::SIGSTOP);
    assert_eq!(server.ask("hello"), (server.worker_pids()[3], "one".to_owned()));
    signal_to(workers[1], Signal::SIGCONT);
    signal_to(workers[2], Signal::SIGCONT);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), 0);
    assert!(!lives(mold) && workers.iter().all(|&pid| !lives(pid)));
    assert!(server.lines_with("Mold (pid").iter().all(|line| line.contains("[DEBUG]")), "its end is no news");
}

#[test]
fn a_mold_holds_no_listener_and_its_workers_nothing_of_the_mold() {
    let server = preloaded(2);
    let outside = Server::descriptors(std::process::id().cast_signed());
    let open = |pid| {
        let mut open = Server::descriptors(pid);
        open.retain(|link| !outside.contains(link));
        open
    };
    // Sockets, stack files, and pipes: two for signals, and the one that tells of the master's end.
    let held = |pid| {
        let open = open(pid);
        ["socket:", "/memfd:", "pipe:"].map(|text| open.iter().filter(|link| link.starts_with(text)).count())
    };
    eventually("the mold has nothing but the link to its master", || held(molds(&server)[0]) == [1, 1, 3]);
    for pid in server.worker_pids() {
        // As a worker that the master forks.
        assert_eq!(held(pid), [3, 1, 3], "{:?}", open(pid));
    }
}

#[test]
fn a_reload_makes_a_new_mold_with_the_new_code() {
    let server = preloaded(2);
    let old = [server.worker_pids(), molds(&server)].concat();
    server.write("version", "two");
    server.signal(Signal::SIGHUP);
    server.wait_for("Reloaded: a worker with the new code is ready");
    eventually("the old ones are gone, their mold too", || old.iter().all(|&pid| !lives(pid)));
    assert_eq!(server.ask("hello").1, "two");
    assert_eq!(molds(&server).len(), 2);
    assert!(server.lines_with("ERROR").is_empty() && server.lines_with("WARNING").is_empty());
}

#[test]
fn a_reload_onto_code_that_does_not_load_leaves_the_old_mold_and_its_workers() {
    let server = preloaded(2);
    let old = server.worker_pids();
    server.write("preload", "exit 3");
    server.write("version", "two");
    server.signal(Signal::SIGHUP);
    server.wait_for("could not load the app, and has logged why. 2 workers go on serving");
    server.wait_for("[ERROR] Reload failed: mold (pid:");
    assert!(old.contains(&server.ask("hello").0));
    // The old mold is there for the next one.
    signal_to(old[0], Signal::SIGKILL);
    signal_to(old[1], Signal::SIGKILL);
    server.wait_for_lines("is ready", 4);
    assert_eq!(server.ask("hello").1, "one");
    server.write("preload", "");
    server.signal(Signal::SIGHUP);
    server.wait_for("Reloaded: a worker with the new code is ready");
    eventually("the new code answers", || server.ask("hello").1 == "two");
}

#[test]
fn a_mold_that_cannot_load_the_app_ends_the_start_as_gunicorn_does() {
    for code in [3, 4] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("preload"), format!("exit {code}")).unwrap();
        let mut server = Server::start_in(dir, &["workers=2", PRELOAD]);
        assert_eq!(server.exit_code(), 1);
        server.wait_for("[ERROR] Reason: App failed to load.");
    }
}

#[test]
fn a_mold_that_is_killed_is_replaced_and_its_workers_go_on() {
    let server = preloaded(2);
    let (workers, mold) = (server.worker_pids(), molds(&server)[0]);
    // It is not for the mold to obey what its whole process group is told.
    signal_to(mold, Signal::SIGTERM);
    signal_to(mold, Signal::SIGINT);
    signal_to(mold, Signal::SIGKILL);
    server.wait_for(&format!("[ERROR] Mold (pid:{mold}) was sent SIGKILL!"));
    server.wait_for_lines("has loaded the app", 2);
    assert!(workers.contains(&server.ask("hello").0));
    signal_to(workers[0], Signal::SIGKILL);
    server.wait_for_lines("is ready", 3);
    assert_eq!((server.worker_pids().len(), molds(&server).len()), (3, 2));
    assert!(lives(workers[1]));
}

#[test]
fn a_mold_that_is_killed_while_it_loads_is_replaced_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("preload"), "hang").unwrap();
    let server = Server::start_in(dir, &["workers=2", PRELOAD]);
    server.wait_for("Booting mold");
    server.write("preload", "");
    signal_to(molds(&server)[0], Signal::SIGKILL);
    server.wait_for("The next mold is started when a worker is needed");
    server.wait_for_lines("is ready", 2);
}

#[test]
fn a_mold_that_hangs_is_killed_when_the_boot_timeout_is_over_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("preload"), "hang").unwrap();
    let server = Server::start_in(dir, &["workers=2", "boot_timeout=1", PRELOAD]);
    server.wait_for("Booting mold");
    let mold = molds(&server)[0];
    let told = format!("[CRITICAL] Mold (pid:{mold}) has not loaded the app after 1.");
    server.wait_for(&told);
    server.write("preload", "");
    server.wait_for_lines("is ready", 2);
    assert!(!lives(mold) && server.lines_with("SIGKILL").is_empty());
    // And a reload is given up for it.
    server.write("preload", "hang");
    server.signal(Signal::SIGHUP);
    server.wait_for(
        "Reload failed: no worker was ready within 1.0 s (--boot-timeout). 2 workers go on serving",
    );
    server.wait_for_lines("has not loaded the app after 1.", 2);
    eventually("the late mold is gone", || molds(&server).iter().filter(|&&pid| lives(pid)).count() == 1);
}

#[test]
fn a_mold_that_hangs_does_not_hold_up_the_end() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("preload"), "hang").unwrap();
        let mut server = Server::start_in(dir, &["workers=2", PRELOAD]);
        server.wait_for("Booting mold");
        server.signal(signal);
        assert_eq!(server.exit_code(), 0);
        assert!(!lives(molds(&server)[0]));
        assert!(server.lines_with("ERROR").is_empty(), "nothing has failed");
    }
}

#[test]
fn a_mold_ends_with_its_master_even_while_it_loads() {
    for import in ["", "hang"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("preload"), import).unwrap();
        let server = Server::start_in(dir, &["workers=1", PRELOAD]);
        server.wait_for("Booting mold");
        signal_to(server.pid(), Signal::SIGKILL);
        eventually("the mold is gone", || !lives(molds(&server)[0]));
    }
}

#[test]
fn workers_that_come_and_go_all_the_time_are_all_reaped_and_counted() {
    let server = preloaded(4);
    let count = || server.worker_pids().iter().filter(|&&pid| lives(pid)).count();
    for round in 1..=20 {
        // Each is handled before the mold has forked what the one before wanted.
        server.signal(Signal::SIGTTIN);
        server.wait_for_lines("Handling signal: ttin", round);
        server.signal(Signal::SIGTTOU);
        server.wait_for_lines("Handling signal: ttou", round);
    }
    eventually("four are left", || count() == 4);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).unwrap();
    assert_eq!(children.split_whitespace().count(), 5, "{children}");
}
