//! Masters beside each other: USR2, WINCH, and the way back.

use ferricorn_unix::control::Order;
use ferricorn_unix::signal::Signal;
use ferricorn_unix::wait::Change;

use super::{Event, POLICY, Supervisor, World};

const NEW: i32 = 4000;

fn upgraded() -> World {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Usr2);
    assert_eq!(world.upgrades, 1);
    world.give(Event::Upgraded { pid: NEW });
    world
}

#[test]
fn there_is_one_new_master_at_a_time() {
    let mut world = upgraded();
    assert!(world.supervisor.shares_listeners());
    world.signal(Signal::Usr2);
    assert_eq!(world.upgrades, 1);
    assert!(world.said("USR2 signal ignored. Child exists."));
    world.give(Event::SuccessorEnded(Change::Exited(1)));
    assert!(world.said("exited with code 1") && !world.supervisor.shares_listeners());
    world.signal(Signal::Usr2);
    assert_eq!(world.upgrades, 2);
}

#[test]
fn one_that_cannot_be_started_changes_nothing() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Usr2);
    world.give(Event::NotUpgraded("it is process 1".to_owned()));
    assert!(world.said("this one goes on: it is process 1"));
    assert!(!world.supervisor.shares_listeners() && world.untold().len() == 2);
}

#[test]
fn winch_retires_the_workers_and_hup_brings_them_back() {
    let mut world = upgraded();
    world.signal(Signal::Winch);
    assert!(world.told().all(|(_, order)| order == Order::Graceful) && world.untold().is_empty());
    world.obey();
    world.pass(60_000);
    assert!(world.ages().is_empty() && world.halted.is_none());
    world.signal(Signal::Hup);
    world.all_ready();
    assert_eq!(world.untold().len(), 2);
    world.give(Event::SuccessorEnded(Change::Exited(0)));
    assert_eq!(world.untold().len(), 2);
}

#[test]
fn workers_come_back_by_themselves_if_the_new_master_fails() {
    let mut world = upgraded();
    world.signal(Signal::Winch);
    world.obey();
    world.give(Event::SuccessorEnded(Change::Killed(11)));
    assert!(world.said("was sent SIGSEGV; this one goes on, and starts its workers again"));
    world.all_ready();
    assert_eq!(world.untold().len(), 2);
}

#[test]
fn winch_in_the_midst_of_a_reload_ends_it() {
    let mut world = upgraded();
    world.signal(Signal::Hup);
    world.signal(Signal::Winch);
    world.obey();
    world.pass(60_000);
    assert!(world.ages().is_empty());
}

#[test]
fn a_new_master_is_the_second_until_the_first_is_gone() {
    let mut world = World::ready(POLICY);
    world.processes.clear();
    world.supervisor = Supervisor::new(POLICY, world.now).beside_predecessor();
    world.signal(Signal::Usr2);
    assert!(world.upgrades == 0 && world.said("USR2 signal ignored. Parent exists."));
    assert_eq!(world.supervisor.name(), "Master.2");
    world.give(Event::PredecessorEnded);
    assert!(world.said("Master has been promoted.") && !world.supervisor.shares_listeners());
    assert_eq!(world.supervisor.name(), "Master");
    world.signal(Signal::Usr2);
    assert_eq!(world.upgrades, 1);
}
