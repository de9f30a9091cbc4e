//! What a worker writes is what its master reads, also from a worker that was killed.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::{BUCKETS, ErrorClass, IN_FLIGHT, PATH_BYTES, SLOTS, Scoreboard, Snapshot, State, bucket_floor};
use crate::fork::tests::in_child;
use crate::wait::Change;

#[test]
fn a_parent_reads_what_its_child_wrote() {
    let board = Scoreboard::create().unwrap();
    let end = in_child(|| {
        let slot = board.slot(7).unwrap();
        slot.claim(4321, 9, 2);
        slot.set_state(State::Ready);
        slot.beat(1000);
        slot.connection_begin();
        slot.connection_begin();
        slot.connection_end();
        let first = slot.request_begin(1001, "GET", b"/slow/path");
        let second = slot.request_begin(1002, "POST", b"/");
        slot.set_threads(3);
        slot.call_begin(2, 1003, Some(first));
        slot.entry_begin(1, 1004);
        slot.request_end(second);
        slot.error(ErrorClass::App);
        slot.latency(150);
        0
    });
    assert_eq!(end, Change::Exited(0));
    let seen = board.snapshot(7).unwrap();
    assert_eq!((seen.pid, seen.age, seen.generation, seen.state), (4321, 9, 2, State::Ready));
    assert_eq!((seen.beat_ms, seen.requests, seen.connections, seen.errors.app), (1000, 1, 1, 1));
    assert_eq!(seen.in_flight.len(), 1);
    let request = &seen.in_flight[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str(), request.since_ms),
        ("GET", "/slow/path", 1001)
    );
    assert_eq!(seen.calls.len(), 1);
    assert_eq!((seen.calls[0].since_ms, seen.calls[0].request.as_ref()), (1003, Some(request)));
    assert_eq!((seen.threads, seen.waits_ms), (3, Some(1004)));
    let filled: Vec<usize> = (0..BUCKETS).filter(|&at| seen.latency[at] == 1).collect();
    assert_eq!(filled.len(), 1);
    assert!(bucket_floor(filled[0]) <= 150 && 150 < bucket_floor(filled[0] + 1));
    // Neighbours are untouched, and a new worker finds nothing of the old one.
    let empty = Snapshot { latency: vec![0; BUCKETS], ..Snapshot::default() };
    assert_eq!(board.snapshot(6).unwrap(), empty);
    board.slot(7).unwrap().clear();
    assert_eq!(board.snapshot(7).unwrap(), empty);
    assert!(board.slot(SLOTS).is_none() && board.snapshot(SLOTS).is_none());
}

#[test]
fn a_full_table_counts_and_recovers() {
    let board = Scoreboard::create().unwrap();
    let slot = board.slot(0).unwrap();
    let long = vec![b'x'; 10_000];
    let tickets: Vec<_> =
        (0..IN_FLIGHT as u64 + 3).map(|i| slot.request_begin(i + 1, "GET", &long)).collect();
    let seen = board.snapshot(0).unwrap();
    assert_eq!((seen.in_flight.len(), seen.more_in_flight), (IN_FLIGHT, 3));
    assert!(seen.in_flight.iter().all(|request| request.path.len() == PATH_BYTES));
    tickets.into_iter().for_each(|ticket| slot.request_end(ticket));
    let seen = board.snapshot(0).unwrap();
    assert_eq!((seen.in_flight.len(), seen.more_in_flight), (0, 0));
    assert_eq!(seen.requests, IN_FLIGHT as u64 + 3);
    slot.call_begin(0, 5, None);
    assert_eq!(board.snapshot(0).unwrap().calls[0].request, None);
    slot.call_waited(0, 30);
    assert_eq!(board.snapshot(0).unwrap().calls[0].since_ms, 35);
    slot.call_end(0);
    slot.call_waited(0, 30);
    assert_eq!(board.snapshot(0).unwrap().calls, []);
}

#[test]
fn a_call_that_outlives_its_request_is_told_by_that_and_never_by_another() {
    let board = Scoreboard::create().unwrap();
    let slot = board.slot(0).unwrap();
    let ticket = slot.request_begin(5, "GET", b"/late");
    slot.call_begin(0, 6, Some(ticket));
    slot.request_end(ticket);
    let told =
        || board.snapshot(0).unwrap().calls[0].request.as_ref().map(|one| (one.since_ms, one.path.clone()));
    assert_eq!(told(), Some((6, "/late".to_owned())));
    let _next = slot.request_begin(7, "GET", b"/next");
    assert_eq!(told(), None);
}

#[test]
fn one_call_of_several_has_its_clock_stopped() {
    let board = Scoreboard::create().unwrap();
    let slot = board.slot(0).unwrap();
    slot.set_threads(2);
    slot.call_begin(0, 5, None);
    slot.call_begin(1, 6, None);
    slot.call_untimed(1);
    slot.call_waited(1, 30);
    let since: Vec<_> = board.snapshot(0).unwrap().calls.iter().map(|call| call.since_ms).collect();
    assert_eq!(since, [5]);
}

#[test]
fn a_reader_never_sees_half_an_entry() {
    let board = Scoreboard::create().unwrap();
    let slot = board.slot(0).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for letter in ["a", "b"] {
            let done = &done;
            scope.spawn(move || {
                // Every request's path is as many letters as its start says.
                for round in (1..80_u64).cycle().take_while(|_| !done.load(Relaxed)) {
                    let path = letter.repeat(round as usize);
                    let ticket = slot.request_begin(round, letter, path.as_bytes());
                    slot.request_end(ticket);
                }
            });
        }
        let mut seen = 0;
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        // On a busy machine the writers may not run for a while.
        while std::time::Instant::now() < end {
            for request in board.snapshot(0).unwrap().in_flight {
                seen += 1;
                assert_eq!(request.path, request.method.repeat(request.since_ms as usize));
            }
            if seen > 5_000 {
                break;
            }
        }
        done.store(true, Relaxed);
        assert!(seen > 0, "the reader met no request");
    });
}

#[test]
fn buckets_are_in_order_and_each_value_is_in_its_own() {
    for bucket in 1..BUCKETS {
        assert!(bucket_floor(bucket) > bucket_floor(bucket - 1));
    }
    let board = Scoreboard::create().unwrap();
    for (slot, micros) in [0, 1, 2, 3, 5, 6, 1000, 1_000_000, u64::MAX].into_iter().enumerate() {
        board.slot(slot).unwrap().latency(micros);
        let bucket = board.snapshot(slot).unwrap().latency.iter().position(|&count| count == 1).unwrap();
        assert!(bucket_floor(bucket) <= micros, "{micros}");
        assert!(bucket == BUCKETS - 1 || micros < bucket_floor(bucket + 1), "{micros}");
    }
}

#[test]
fn a_worker_sees_the_siblings_that_take_clients_and_how_many_each_has() {
    let board = Scoreboard::create().unwrap();
    let [own, few, many, booting, closed] = [0, 1, 2, 3, 4].map(|index| board.slot(index).unwrap());
    let siblings = || own.siblings().collect::<Vec<_>>();
    assert_eq!(siblings(), []);
    assert!(!own.is_one_of_several());
    for (slot, state, open, connections) in [
        (own, State::Ready, true, 9),
        (few, State::Ready, true, 1),
        (many, State::Ready, true, 3),
        (booting, State::Booting, true, 1),
        (closed, State::Ready, false, 1),
    ] {
        slot.set_state(state);
        slot.set_open(open);
        (0..connections).for_each(|_| slot.connection_begin());
    }
    assert_eq!(siblings(), [1, 3]);
    few.connection_begin();
    many.set_open(false);
    booting.set_state(State::Ready);
    assert_eq!(siblings(), [2, 1]);
    few.clear();
    assert_eq!(siblings(), [1]);
    booting.clear();
    assert!(siblings().is_empty() && own.is_one_of_several());
}
