//! The number of workers is kept up: boots and forks that fail, crashes, and workers that leave of their own accord.

use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::wait::Change;

use super::super::Oom;
use super::{Event, MARGIN, POLICY, Policy, World};

#[test]
fn it_forks_as_many_as_were_asked_for_and_replaces_the_dead_at_once() {
    let mut world = World::ready(POLICY);
    assert_eq!(world.ages(), [1, 2]);
    world.pass(5_000);
    world.end(1, Change::Killed(9));
    assert_eq!(world.ages(), [2, 3]);
    assert!(world.said("Worker (pid:1001) was sent SIGKILL! Perhaps out of memory?"));
    world.give(Event::OutOfMemory { age: 3, oom: Oom::Struck { within: 0 } });
    world.end(3, Change::Killed(9));
    assert!(world.said(
        "(pid:1003) was sent SIGKILL! Out of memory, it seems: the kernel's OOM killer has struck in its cgroup"
    ));
    world.pass(1_000);
    world.give(Event::OutOfMemory { age: 4, oom: Oom::Spared });
    world.end(4, Change::Killed(9));
    assert!(world.said("(pid:1004) was sent SIGKILL! Not by the kernel's OOM killer, says its cgroup"));
    world.pass(1_000);
    world.end(2, Change::Exited(1));
    assert!(world.said("Worker (pid:1002) exited with code 1"));
}

#[test]
fn the_first_worker_that_cannot_load_the_app_ends_the_server_with_its_code() {
    for (code, why) in [(3, "Worker failed to boot."), (4, "App failed to load.")] {
        let mut world = World::new(POLICY);
        world.end(1, Change::Exited(code));
        assert!(!world.listening);
        assert_eq!(world.told().collect::<Vec<_>>(), [(2, Order::Quick)]);
        world.obey();
        assert_eq!(world.halted, Some(ExitCode(u8::try_from(code).unwrap())));
        assert!(world.said(why) && world.said("Shutting down: Master"));
    }
}

#[test]
fn once_the_app_has_served_no_boot_failure_ends_the_server_and_pauses_grow() {
    let mut world = World::new(POLICY);
    world.report(1, Report::Ready);
    for _ in 0..10 {
        let last = *world.ages().last().unwrap();
        world.end(last, Change::Exited(3));
        assert_eq!(world.ages(), [1], "it was replaced at once");
        let wait = world.supervisor.deadline().unwrap() - world.now;
        world.pass(60_000_u64.min(wait.max(30_000)));
        assert_eq!(world.ages().len(), 2);
    }
    assert_eq!(world.halted, None);
    // In the same minute a worker is forked a dozen times, not thousands.
    let mut world = World::new(POLICY);
    world.report(1, Report::Ready);
    let start = world.now;
    while world.now < start + 60_000 {
        for age in world.ages().into_iter().filter(|&age| age != 1) {
            world.end(age, Change::Killed(11));
        }
        world.pass(50);
    }
    assert!(world.spawns.len() < 15, "{} spawns", world.spawns.len());
}

#[test]
fn workers_that_die_just_after_they_were_ready_do_not_make_it_spin_either() {
    let mut world = World::new(Policy { workers: 1, ..POLICY });
    let start = world.now;
    while world.now < start + 60_000 {
        world.all_ready();
        let ages = world.ages();
        world.pass(10);
        ages.into_iter().for_each(|age| world.end(age, Change::Exited(1)));
    }
    assert!(world.spawns.len() < 15, "{} spawns", world.spawns.len());
}

#[test]
fn a_fork_that_fails_is_tried_again_later() {
    let mut world = World::ready(POLICY);
    world.pass(5_000);
    world.failing_forks = 2;
    world.end(1, Change::Exited(0));
    assert!(world.said("Cannot start a worker: no memory. Next try in 0.1 s."));
    assert_eq!(world.ages(), [2]);
    world.pass(1_000);
    assert_eq!(world.ages().len(), 2);
}

#[test]
fn a_first_fork_that_fails_ends_the_server() {
    let mut world = World::new(Policy { workers: 1, ..POLICY });
    world.failing_forks = 1;
    world.end(1, Change::Killed(11));
    world.pass(1_000);
    assert_eq!(world.halted, Some(ExitCode::CONFIG));
    assert!(world.said("Reason: No worker could be started."));
}

#[test]
fn a_worker_that_leaves_of_its_own_accord_is_replaced_before_it_is_gone() {
    let mut world = World::ready(POLICY);
    world.report(1, Report::Leaving);
    assert_eq!(world.ages(), [1, 2, 3]);
    world.end(1, Change::Exited(0));
    assert_eq!(world.ages(), [2, 3]);
    // One that never gets done is killed in the end.
    world.report(2, Report::Leaving);
    world.pass(30_000 + MARGIN);
    assert!(!world.ages().contains(&2));
}

#[test]
fn a_worker_that_hangs_while_it_loads_the_app_is_killed_and_tried_again() {
    let mut world = World::new(Policy { boot: 5_000, ..POLICY });
    world.report(1, Report::Ready);
    world.pass(5_500);
    assert!(world.said("Worker (pid:1002) is not ready after 5.0 s (--boot-timeout), and is killed"));
    assert_eq!(world.ages(), [1]);
    world.pass(1_000);
    assert_eq!((world.ages(), world.halted), (vec![1, 3], None));
    // One that is ready while its stack is asked for serves.
    world.pass(4_300);
    world.report(3, Report::Ready);
    world.pass(60_000);
    assert_eq!(world.untold(), [1, 3]);
}
