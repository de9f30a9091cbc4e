//! Workers that have had their time: the next one is ready before the old one leaves, one at a time per reason.

use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::signal::Signal;
use ferricorn_unix::wait::Change;

use super::{POLICY, Policy, World};

const MIB: u64 = 1 << 20;

#[test]
fn a_worker_that_has_served_enough_leaves_when_the_next_one_is_ready() {
    let mut world = World::ready(POLICY);
    world.report(1, Report::Spent);
    assert!(
        world.said(
            "Worker (pid:1001) is replaced, and leaves when the next one is ready: it has served as many"
        )
    );
    assert_eq!((world.ages(), world.untold()), (vec![1, 2, 3], vec![1, 2, 3]));
    world.pass(10_000);
    world.report(3, Report::Ready);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful)]);
    world.pass(10_000);
    assert_eq!(world.ages(), [1, 2, 3]);
    world.obey();
    world.pass(10_000);
    assert_eq!((world.ages(), world.untold()), (vec![2, 3], vec![2, 3]));
}

#[test]
fn one_at_a_time_is_replaced_for_the_same_reason() {
    let mut world = World::ready(POLICY);
    world.report(2, Report::Spent);
    world.report(1, Report::Spent);
    assert_eq!(world.ages(), [1, 2, 3]);
    world.report(3, Report::Ready);
    assert_eq!(world.told().collect::<Vec<_>>(), [(2, Order::Graceful)]);
    assert_eq!(world.ages(), [1, 2, 3], "the first one has not left");
    world.obey();
    assert_eq!(world.ages(), [1, 3, 4]);
    world.report(4, Report::Ready);
    world.obey();
    assert_eq!((world.ages(), world.untold()), (vec![3, 4], vec![3, 4]));
}

#[test]
fn a_worker_with_too_much_memory_is_replaced_and_the_scales_are_used_every_ten_seconds() {
    let mut world = World::ready(Policy { memory: Some(100 * MIB), ..POLICY });
    world.processes.get_mut(&1).unwrap().memory = 101 * MIB;
    world.processes.get_mut(&2).unwrap().memory = 100 * MIB;
    world.pass(9_999);
    assert_eq!(world.ages(), [1, 2]);
    world.pass(1);
    assert!(world.said(
        "Worker (pid:1001) is replaced, and leaves when the next one is ready: 101 MiB of memory are its own"
    ));
    assert!(world.said("--max-worker-memory is 100"));
    world.report(3, Report::Ready);
    world.obey();
    assert_eq!(world.ages(), [2, 3]);
    assert_eq!(world.weighings, 1);
    world.pass(60_000);
    assert_eq!((world.ages(), world.weighings), (vec![2, 3], 7));
}

#[test]
fn a_limit_that_no_worker_can_keep_is_told() {
    let mut world = World::ready(Policy { memory: Some(100 * MIB), ..POLICY });
    world.pass(60_000);
    world.processes.get_mut(&1).unwrap().memory = 101 * MIB;
    world.pass(10_000);
    assert!(world.said("is replaced") && !world.said("Raise it"));
    world.report(3, Report::Ready);
    world.obey();
    world.processes.get_mut(&3).unwrap().memory = 101 * MIB;
    world.pass(10_000);
    assert!(world.said("--max-worker-memory is less than a worker of this app needs soon after its start"));
}

#[test]
fn a_worker_that_is_old_is_replaced() {
    let mut world = World::new(Policy { lifetime: Some(60_000), ..POLICY });
    world.pass(5_000);
    world.all_ready();
    world.pass(59_999);
    assert_eq!(world.ages(), [1, 2]);
    world.pass(1);
    assert_eq!(world.ages(), [1, 2, 3]);
    assert!(world.said("it has been ready for 60.0 s (--max-worker-lifetime)"));
    for age in [3, 4] {
        world.report(age, Report::Ready);
        world.obey();
    }
    assert_eq!((world.ages(), world.untold()), (vec![3, 4], vec![3, 4]));
}

#[test]
fn different_reasons_do_not_wait_for_each_other() {
    let mut world = World::ready(Policy { memory: Some(MIB), ..POLICY });
    world.report(1, Report::Spent);
    world.processes.get_mut(&2).unwrap().memory = 2 * MIB;
    world.pass(10_000);
    assert_eq!(world.ages(), [1, 2, 3, 4]);
    world.report(3, Report::Ready);
    assert_eq!(world.untold(), [2, 3, 4]);
    world.report(4, Report::Ready);
    assert_eq!(world.untold(), [3, 4]);
}

#[test]
fn a_replacement_that_does_not_boot_leaves_the_old_worker_where_it_is() {
    let mut world = World::ready(POLICY);
    world.report(1, Report::Spent);
    world.end(3, Change::Exited(3));
    assert_eq!((world.untold(), world.halted), (vec![1, 2], None));
    world.pass(1_000);
    world.report(4, Report::Ready);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful)]);
}

#[test]
fn one_that_dies_while_it_is_replaced_is_not_replaced_twice() {
    let mut world = World::ready(POLICY);
    world.pass(1_000);
    world.report(1, Report::Spent);
    world.end(1, Change::Killed(9));
    world.all_ready();
    assert_eq!((world.ages(), world.untold()), (vec![2, 3], vec![2, 3]));
}

#[test]
fn fewer_workers_while_one_is_replaced_leave_those_that_are_ready() {
    let mut world = World::ready(POLICY);
    world.report(1, Report::Spent);
    world.signal(Signal::Ttou);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful), (3, Order::Withdraw)]);
}

#[test]
fn a_reload_replaces_everybody_anyway() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.report(1, Report::Spent);
    assert_eq!(world.ages(), [1, 2, 3]);
    for _ in 0..5 {
        world.all_ready();
        world.obey();
    }
    assert_eq!(world.processes.values().map(|process| process.generation).collect::<Vec<_>>(), [2, 2]);
    // And what was being replaced when it began is replaced by it.
    world.report(3, Report::Spent);
    world.signal(Signal::Hup);
    for _ in 0..6 {
        world.all_ready();
        world.obey();
    }
    assert_eq!(world.processes.values().map(|process| process.generation).collect::<Vec<_>>(), [3, 3]);
}
