//! Reloads: a new generation takes over, or the old one goes on serving.

use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::signal::{self, Signal};
use ferricorn_unix::wait::Change;

use super::{POLICY, Policy, World};

#[test]
fn a_reload_retires_an_old_worker_for_each_new_one_that_is_ready() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    assert_eq!(world.ages(), [1, 2, 3, 4]);
    assert_eq!(world.untold(), [1, 2, 3, 4]);
    world.report(4, Report::Ready);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful)]);
    world.report(3, Report::Ready);
    assert_eq!(world.untold(), [3, 4]);
    world.obey();
    assert_eq!(world.ages(), [3, 4]);
    assert_eq!(world.supervisor.generations(), (2, None));
}

#[test]
fn a_reload_onto_code_that_does_not_load_leaves_the_old_workers_alone() {
    for code in [3, 4] {
        let mut world = World::ready(POLICY);
        world.signal(Signal::Hup);
        world.end(3, Change::Exited(code));
        assert!(world.said("Reload failed") && world.said("2 workers go on serving"));
        // The other new one is told to leave, and its end is no news.
        world.end(4, Change::Killed(signal::QUIT));
        assert!(!world.said("SIGQUIT"));
        assert_eq!(world.untold(), [1, 2]);
        world.obey();
        world.pass(100_000);
        assert_eq!((world.ages(), world.halted), (vec![1, 2], None));
        assert_eq!(world.supervisor.generations(), (1, None));
        // The next one, with the fault mended, works.
        world.signal(Signal::Hup);
        world.all_ready();
        world.obey();
        assert!(world.ages().iter().all(|age| *age > 4));
        assert_eq!(world.processes.values().map(|process| process.generation).max(), Some(3));
    }
}

#[test]
fn a_new_worker_that_crashes_at_boot_is_tried_again_while_the_old_ones_serve() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.end(3, Change::Killed(11));
    world.end(4, Change::Exited(1));
    assert_eq!(world.untold(), [1, 2]);
    world.pass(10_000);
    assert_eq!(world.ages().len(), 4);
    world.all_ready();
    world.obey();
    assert_eq!(world.processes.values().filter(|process| process.generation == 2).count(), 2);
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let mut world = World::ready(POLICY);
    world.reloads.push(Err("workers must be a number".to_owned()));
    world.signal(Signal::Hup);
    assert_eq!(world.untold(), [1, 2]);
    assert!(world.said("workers must be a number"));
}

#[test]
fn a_reload_may_change_the_number_of_workers() {
    for workers in [0, 1, 5] {
        let mut world = World::ready(POLICY);
        world.reloads.push(Ok(Policy { workers, ..POLICY }));
        world.signal(Signal::Hup);
        world.all_ready();
        world.obey();
        assert_eq!(world.ages().len(), workers);
    }
}

#[test]
fn a_reload_during_a_reload_goes_back_to_what_served() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.signal(Signal::Hup);
    // Those of the first reload were still loading and are of no use any more.
    assert_eq!(world.told().collect::<Vec<_>>(), [(3, Order::Quick), (4, Order::Quick)]);
    world.obey();
    world.end(5, Change::Exited(3));
    world.obey();
    assert_eq!(world.ages(), [1, 2]);
    assert_eq!(world.supervisor.generations(), (1, None));
}

#[test]
fn a_change_of_the_code_that_all_workers_report_is_one_reload() {
    let mut world = World::ready(POLICY);
    world.report(1, Report::Changed);
    world.report(2, Report::Changed);
    assert_eq!(world.ages(), [1, 2, 3, 4]);
    world.all_ready();
    // They are about to leave, and the new ones have loaded the code since.
    world.report(1, Report::Changed);
    world.obey();
    assert_eq!(world.ages(), [3, 4]);
    assert_eq!(world.supervisor.generations(), (2, None));
    world.report(4, Report::Changed);
    assert_eq!(world.supervisor.generations().0, 3);
}
