//! Stops, graceful and quick, and who holds them up.

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::scoreboard::State;
use ferricorn_unix::signal::Signal;
use ferricorn_unix::wait::Change;

use super::{MARGIN, POLICY, World};

#[test]
fn term_waits_for_the_graceful_timeout_and_names_what_was_in_flight() {
    let mut world = World::ready(POLICY);
    world.pass(100);
    world.call(2, "GET", "/slow");
    world.signal(Signal::Term);
    assert!(!world.listening);
    assert!(world.said("Handling signal: term"));
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful), (2, Order::Graceful)]);
    world.end(1, Change::Exited(0));
    world.pass(29_000);
    assert_eq!(world.halted, None);
    world.pass(1_000 + MARGIN);
    assert_eq!(world.halted, Some(ExitCode::OK));
    assert!(world.said("in flight: GET /slow (30.5 s)"), "{:?}", world.lines);
    assert!(!world.said("out of memory"));
    assert_eq!(world.lines.last().unwrap(), &(LogLevel::Info, "Shutting down: Master".to_owned()));
}

#[test]
fn int_during_term_makes_it_quick_and_a_second_term_changes_nothing() {
    for signal in [Signal::Int, Signal::Quit] {
        let mut world = World::ready(POLICY);
        world.signal(Signal::Term);
        world.signal(Signal::Term);
        assert_eq!(world.told().next(), Some((1, Order::Graceful)));
        world.signal(signal);
        assert!(world.told().all(|(_, order)| order == Order::Quick));
        world.pass(2_000);
        assert_eq!(world.halted, Some(ExitCode::OK));
    }
}

#[test]
fn a_quick_stop_waits_shortly_for_a_worker_that_does_not_hear_and_longer_for_one_that_cleans_up() {
    for signal in [Signal::Int, Signal::Quit] {
        let mut world = World::ready(POLICY);
        world.processes.get_mut(&1).unwrap().seen.state = State::Draining;
        world.signal(signal);
        world.pass(2_000);
        assert!(world.processes.contains_key(&1) && !world.processes.contains_key(&2));
        assert!(world.said("did not leave within 2.0 s, though hurried by a quick stop, and is killed"));
        world.pass(28_000);
        assert_eq!(world.halted, None);
        // Not if it is said twice.
        world.signal(signal);
        world.pass(2_000);
        assert_eq!(world.halted, Some(ExitCode::OK));
    }
}

#[test]
fn an_order_reaches_a_worker_that_was_still_loading() {
    let mut world = World::new(POLICY);
    world.report(1, Report::Ready);
    world.signal(Signal::Term);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful), (2, Order::Withdraw)]);
}

#[test]
fn even_a_worker_that_the_kernel_does_not_let_go_cannot_hold_the_end_up() {
    let mut world = World::ready(POLICY);
    world.processes.get_mut(&1).unwrap().immortal = true;
    world.signal(Signal::Term);
    world.pass(60_000);
    assert_eq!(world.halted, Some(ExitCode::OK));
    assert!(world.said("did not even end at SIGKILL"));
}

#[test]
fn a_stop_that_became_a_quick_one_says_how_long_it_waited() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Term);
    world.pass(1_000);
    world.signal(Signal::Int);
    world.pass(2_500);
    assert!(world.said("did not leave within 3.0 s, though hurried by a quick stop, and is killed"));
    assert!(!world.said("graceful timeout"), "{:?}", world.lines);
}

#[test]
fn a_quick_stop_names_the_requests_that_it_cuts_off() {
    let mut world = World::ready(POLICY);
    world.call(2, "GET", "/slow");
    world.signal(Signal::Quit);
    let told: Vec<&str> =
        world.lines.iter().map(|(_, line)| line.as_str()).filter(|line| line.contains("in flight")).collect();
    assert_eq!(told, ["Worker (pid:1002) is told to end at once; in flight: GET /slow (0.0 s)"]);
}
