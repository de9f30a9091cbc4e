//! What a service manager is told of the service.

use ferricorn_unix::control::Report;
use ferricorn_unix::signal::Signal;
use ferricorn_unix::wait::Change;

use super::{POLICY, Policy, World};
use crate::supervisor::{Census, Standing};

#[test]
fn it_serves_with_the_first_ready_worker_and_reloads_until_the_last_old_one_was_told_to_leave() {
    let mut world = World::new(POLICY);
    assert_eq!(world.supervisor.standing(), Standing::Starting);
    world.report(1, Report::Ready);
    assert_eq!(world.supervisor.standing(), Standing::Serving);
    world.report(2, Report::Ready);
    world.signal(Signal::Hup);
    assert_eq!(world.supervisor.standing(), Standing::Reloading);
    while !world.untold().iter().all(|age| *age > 2) {
        assert_eq!(world.supervisor.standing(), Standing::Reloading);
        world.all_ready();
        world.obey();
    }
    assert_eq!(world.supervisor.standing(), Standing::Serving);
    world.signal(Signal::Term);
    assert_eq!(world.supervisor.standing(), Standing::Stopping);
}

#[test]
fn a_reload_that_fails_ends() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    let new = *world.ages().last().unwrap();
    world.end(new, Change::Exited(3));
    assert_eq!(world.supervisor.standing(), Standing::Serving);
    assert_eq!(world.supervisor.census().ready, 2);
}

#[test]
fn without_workers_it_serves_as_well_as_it_is_to() {
    let world = World::new(Policy { workers: 0, ..POLICY });
    assert_eq!(world.supervisor.standing(), Standing::Serving);
    assert_eq!(world.supervisor.census(), Census { ready: 0, wanted: 0, all: 0, reload_failed: false });
}

#[test]
fn a_reload_that_failed_is_told_until_the_next_good_one() {
    let mut world = World::ready(POLICY);
    world.reloads.push(Err("broken".to_owned()));
    world.signal(Signal::Hup);
    assert!(world.supervisor.census().reload_failed);
    world.signal(Signal::Hup);
    let last = *world.ages().last().unwrap();
    world.end(last, Change::Exited(3));
    assert!(world.supervisor.census().reload_failed);
    world.signal(Signal::Hup);
    world.all_ready();
    assert!(!world.supervisor.census().reload_failed);
}
