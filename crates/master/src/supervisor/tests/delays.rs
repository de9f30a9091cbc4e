//! The delay of a stop, in which clients are still accepted.

use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::signal::{self, Signal};
use ferricorn_unix::wait::Change;

use super::super::Policy;
use super::{POLICY, World};

const DELAYED: Policy = Policy { drain_delay: 5_000, ..POLICY };

#[test]
fn term_has_connections_closed_first_and_stops_after_the_delay() {
    let mut world = World::ready(DELAYED);
    world.signal(Signal::Term);
    assert!(world.said("Accepting clients for another 5.0 s"));
    assert!(world.listening && world.told().next().is_none());
    assert!(world.processes.values().all(|process| process.orders == [Order::Close]));
    world.pass(4_999);
    assert!(world.listening);
    world.pass(1);
    assert!(!world.listening);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful), (2, Order::Graceful)]);
    world.obey();
    assert_eq!(world.halted, Some(ExitCode::OK));
}

#[test]
fn a_worker_that_dies_in_the_delay_is_replaced_and_the_new_one_closes_connections_too() {
    let mut world = World::ready(DELAYED);
    world.signal(Signal::Term);
    world.end(1, Change::Killed(signal::KILL));
    world.pass(1_000);
    world.report(3, Report::Ready);
    assert_eq!(world.processes[&3].orders, [Order::Close]);
}

#[test]
fn a_second_signal_ends_the_delay() {
    for (signal, order) in
        [(Signal::Term, Order::Graceful), (Signal::Int, Order::Quick), (Signal::Quit, Order::Quick)]
    {
        let mut world = World::ready(DELAYED);
        world.signal(Signal::Term);
        world.signal(signal);
        assert!(!world.listening);
        assert!(world.told().all(|(_, told)| told == order));
        world.obey();
        assert_eq!(world.halted, Some(ExitCode::OK));
    }
}

#[test]
fn nobody_waits_where_nobody_serves() {
    let mut world = World::new(DELAYED);
    world.signal(Signal::Term);
    assert!(!world.listening);
}

#[test]
fn a_reload_in_the_delay_is_refused() {
    let mut world = World::ready(DELAYED);
    world.signal(Signal::Term);
    world.signal(Signal::Hup);
    assert!(world.said("about to end"));
    world.report(1, Report::Changed);
    assert_eq!(world.ages(), [1, 2]);
}
