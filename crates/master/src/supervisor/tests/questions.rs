//! Loops that no request tells about: whose worker is asked for a beat, and what becomes of silence.

use ferricorn_unix::wait::Change;

use super::{Event, POLICY, Policy, World};

/// Worker 1 has an idle connection; what is said of it afterwards.
fn connected(policy: Policy) -> World {
    let mut world = World::ready(policy);
    world.processes.get_mut(&1).unwrap().seen.connections = 1;
    world
}

#[test]
fn a_worker_with_connections_is_asked_for_a_beat_and_one_that_answers_is_let_be() {
    let mut world = connected(POLICY);
    world.pass(14_000);
    assert_eq!(world.asked, []);
    world.pass(286_000);
    // No more often than every half of the timeout, and only the one.
    assert!(
        (15..=20).contains(&world.asked.len()) && world.asked.iter().all(|&age| age == 1),
        "{:?}",
        world.asked
    );
    assert!(!world.said("WORKER TIMEOUT"));
    assert_eq!(world.untold(), [1, 2]);
}

#[test]
fn a_loop_that_is_silent_for_the_timeout_after_it_was_asked_is_stuck() {
    let mut world = connected(POLICY);
    let process = world.processes.get_mut(&1).unwrap();
    (process.deaf, process.stubborn) = (true, true);
    world.pass(44_000);
    assert!(!world.said("WORKER TIMEOUT"), "{:?}", world.lines);
    world.pass(5_000);
    assert!(
        world.said("WORKER TIMEOUT (pid:1001)") && world.said("did not end at SIGABRT"),
        "{:?}",
        world.lines
    );
    assert!(
        world.said("The loop of worker (pid:1001) has not turned for 30.")
            && world.said("no request was in flight")
    );
    assert_eq!((world.ages(), world.asked), (vec![2, 3], vec![1]));
}

#[test]
fn a_loop_that_slept_for_long_has_all_of_the_timeout_when_it_is_blocked() {
    let mut world = World::ready(POLICY);
    world.pass(600_000);
    assert_eq!(world.asked, []);
    let process = world.processes.get_mut(&1).unwrap();
    (process.seen.connections, process.deaf) = (1, true);
    world.pass(29_000);
    assert_eq!(world.asked, [1]);
    assert!(!world.said("WORKER TIMEOUT"));
    world.beat(1);
    world.processes.get_mut(&1).unwrap().deaf = false;
    world.pass(60_000);
    assert_eq!(world.untold(), [1, 2]);
    assert!(!world.said("WORKER TIMEOUT"));
}

#[test]
fn a_worker_without_connections_is_asked_while_clients_wait_to_be_accepted() {
    let mut world = World::ready(POLICY);
    world.processes.get_mut(&2).unwrap().deaf = true;
    world.pass(100_000);
    assert_eq!(world.asked, []);
    world.clients = true;
    world.pass(32_000);
    assert!(world.said("WORKER TIMEOUT (pid:1002)") && !world.said("WORKER TIMEOUT (pid:1001)"));
    assert_eq!(world.ages(), [1, 3]);
}

#[test]
fn a_worker_that_is_in_a_call_is_judged_by_that_and_not_asked() {
    let mut world = connected(POLICY);
    world.processes.get_mut(&1).unwrap().deaf = true;
    // It was asked just before its app was called, and is busy with one call after the other.
    world.pass(16_000);
    assert_eq!(world.asked, [1]);
    for _ in 0..4 {
        world.call(1, "GET", "/");
        world.processes.get_mut(&1).unwrap().seen.beat_ms = 0;
        world.pass(25_000);
        world.answer(1);
    }
    assert_eq!(world.asked, [1]);
    assert!(!world.said("WORKER TIMEOUT"), "{:?}", world.lines);
}

#[test]
fn a_stopped_worker_is_not_asked_and_the_time_is_not_counted_as_silence() {
    let mut world = connected(POLICY);
    world.processes.get_mut(&1).unwrap().deaf = true;
    world.pass(16_000);
    world.give(Event::Changed { age: 1, change: Change::Stopped });
    world.pass(25_000);
    world.give(Event::Changed { age: 1, change: Change::Continued });
    world.pass(29_000);
    assert!(!world.said("WORKER TIMEOUT"), "{:?}", world.lines);
    world.pass(3_000);
    assert!(world.said("WORKER TIMEOUT (pid:1001)"));
}

#[test]
fn without_a_timeout_nobody_is_asked() {
    let mut world = connected(Policy { timeout: None, ..POLICY });
    world.clients = true;
    world.pass(1_000_000);
    assert_eq!(world.asked, []);
}
