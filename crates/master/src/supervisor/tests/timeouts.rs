//! Calls and loops that make no progress while requests wait: who is blamed, and who is not.

use ferricorn_config::LogLevel;
use ferricorn_unix::wait::Change;

use super::{Event, POLICY, Policy, World};

#[test]
fn a_call_older_than_the_timeout_is_named_and_its_worker_replaced() {
    let mut world = World::ready(POLICY);
    world.pass(10_000);
    world.call(1, "GET", "/stuck");
    world.processes.get_mut(&1).unwrap().seen.requests = 12;
    // The loop goes on, only the call does not.
    for _ in 0..29 {
        world.pass(1_000);
        world.beat(1);
    }
    assert!(!world.said("WORKER TIMEOUT"));
    world.pass(2_000);
    assert!(world.lines.contains(&(LogLevel::Critical, "WORKER TIMEOUT (pid:1001)".to_owned())));
    let line = "GET /stuck has kept worker (pid:1001) busy for 30.";
    assert!(world.said(line) && world.said("it had answered 12 requests before"), "{:?}", world.lines);
    world.pass(1_000);
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn of_several_app_threads_one_may_take_its_time_while_the_loop_turns() {
    let mut world = World::ready(POLICY);
    world.threads(1, 3);
    world.call(1, "GET", "/report");
    // Its loop sleeps, and notes a beat when it is asked for one.
    world.pass(200_000);
    assert!(!world.said("WORKER TIMEOUT") && world.asked.contains(&1), "{:?}", world.lines);
    world.processes.get_mut(&1).unwrap().deaf = true;
    world.pass(50_000);
    assert!(world.said("The loop of worker (pid:1001) has not turned for 30"), "{:?}", world.lines);
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn of_several_app_threads_all_must_be_busy_for_the_timeout() {
    let mut world = World::ready(POLICY);
    world.threads(1, 2);
    world.call(1, "GET", "/a");
    world.pass(29_000);
    world.call_beside(1, "GET", "/b");
    world.pass(29_000);
    assert!(!world.said("WORKER TIMEOUT"));
    world.pass(3_000);
    let line = "All 2 app threads of worker (pid:1001) have been busy for 30.";
    assert!(
        world.said(line) && world.said("in flight: GET /a (") && world.said("GET /b ("),
        "{:?}",
        world.lines
    );
    world.pass(1_000);
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn a_call_that_python_does_not_let_in_shows_who_keeps_it() {
    let mut world = World::ready(POLICY);
    world.threads(1, 3);
    world.call(1, "GET", "/in-c");
    world.pass(100_000);
    let now = world.now;
    world.processes.get_mut(&1).unwrap().seen.waits_ms = Some(now);
    world.pass(29_000);
    assert!(!world.said("WORKER TIMEOUT"));
    world.pass(3_000);
    assert!(world.said("Python has let no app thread of worker (pid:1001) in for 30."), "{:?}", world.lines);
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn one_that_finishes_while_its_stack_is_taken_is_spared() {
    let mut world = World::ready(POLICY);
    world.call(1, "GET", "/just-in-time");
    while !world.said("WORKER TIMEOUT") {
        world.pass(100);
    }
    world.answer(1);
    world.pass(60_000);
    assert_eq!(world.ages(), [1, 2]);
    assert!(world.said("made progress after all"));
}

#[test]
fn a_loop_that_does_not_turn_counts_only_while_requests_wait() {
    let mut world = World::ready(POLICY);
    world.beat(1);
    world.pass(100_000);
    // A request after a long sleep: the loop had no reason to turn before.
    let since_ms = world.now;
    world.call(1, "GET", "/");
    let seen = &mut world.processes.get_mut(&1).unwrap().seen;
    seen.calls.clear();
    seen.beat_ms = since_ms - 90_000;
    world.pass(29_000);
    assert_eq!(world.untold(), [1, 2]);
    assert!(!world.said("WORKER TIMEOUT"));
    world.pass(3_000);
    assert!(world.said("The loop of worker (pid:1001) has not turned for 30"));
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn a_loop_that_is_too_busy_to_beat_but_answers_is_left_alone() {
    let mut world = World::ready(POLICY);
    world.call(1, "GET", "/a-long-download");
    world.processes.get_mut(&1).unwrap().seen.calls.clear();
    for _ in 0..100 {
        world.pass(1_000);
        world.processes.get_mut(&1).unwrap().seen.requests += 1;
    }
    assert!(!world.said("WORKER TIMEOUT"));
    world.pass(32_000);
    assert!(world.said("The loop of worker (pid:1001) has not turned"));
}

#[test]
fn a_stopped_worker_is_killed_after_the_timeout_and_one_continued_in_time_is_not() {
    let mut world = World::ready(POLICY);
    world.call(2, "GET", "/held");
    for age in [1, 2] {
        world.give(Event::Changed { age, change: Change::Stopped });
    }
    world.pass(20_000);
    world.give(Event::Changed { age: 2, change: Change::Continued });
    world.pass(11_000);
    assert!(world.said("WORKER TIMEOUT (pid:1001)"));
    // The call of the other is older than the timeout, but for 20 s of it nobody could have worked on it.
    assert_eq!(world.ages(), [2, 3]);
    world.answer(2);
    world.pass(60_000);
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn nobody_is_blamed_for_the_time_in_which_everything_stood_still() {
    let mut world = World::ready(POLICY);
    world.call(1, "GET", "/");
    world.pass(1_000);
    // A container that is frozen: the clock goes on, nobody else does.
    world.now += 600_000;
    world.give(Event::Tick);
    world.pass(20_000);
    assert!(!world.said("WORKER TIMEOUT"));
}

#[test]
fn without_a_timeout_nobody_is_judged_and_the_master_sleeps() {
    let mut world = World::ready(Policy { timeout: None, ..POLICY });
    world.call(1, "GET", "/");
    assert_eq!(world.supervisor.deadline(), None);
    world.pass(10_000_000);
    assert_eq!(world.ages(), [1, 2]);
}
