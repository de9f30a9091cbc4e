//! Workers that a mold forks.

use ferricorn_protocol::ExitCode;
use ferricorn_unix::signal::Signal;
use ferricorn_unix::wait::Change;

use super::super::simulation::World;
use super::super::{Broken, Event, Oom};
use super::{POLICY, Policy};

fn policy(workers: usize) -> Policy {
    Policy { workers, ..POLICY }
}

fn preloaded(workers: usize) -> World {
    World::begin_ready(policy(workers), true)
}

#[test]
fn a_mold_that_cannot_load_the_app_ends_the_start_with_gunicorns_code() {
    for code in [3, 4] {
        let mut world = World::begin(policy(2), true);
        world.end_mold(Change::Exited(code), false);
        assert_eq!(world.halted, Some(ExitCode::CONFIG));
        assert!(world.said("Reason: App failed to load."));
    }
}

#[test]
fn a_mold_that_is_killed_while_it_loads_is_tried_again_after_pauses_that_grow() {
    let mut world = World::begin(policy(2), true);
    let begin = world.now;
    for _ in 0..3 {
        world.end_mold(Change::Killed(9), false);
        world.pass(1_000);
    }
    assert_eq!(world.halted, None);
    let times: Vec<u64> = world.spawns.iter().map(|(time, _)| time - begin).collect();
    assert_eq!(times, [0, 0, 100, 100, 1_200, 1_200, 2_400, 2_400]);
}

#[test]
fn a_reload_whose_mold_fails_leaves_everything_as_it_was() {
    for (change, why) in
        [(Change::Exited(3), "has logged why"), (Change::Killed(11), "before a worker was ready")]
    {
        let mut world = preloaded(2);
        world.signal(Signal::Hup);
        world.end_mold(change, false);
        assert!(world.said(why) && world.said("2 workers go on serving"), "{:?}", world.lines);
        assert_eq!((world.supervisor.generations(), world.untold().len()), ((1, None), 2));
    }
}

#[test]
fn a_mold_that_dies_when_it_is_idle_is_replaced_and_no_worker_minds() {
    let mut world = preloaded(2);
    world.end_mold(Change::Killed(9), true);
    world.pass(100);
    assert_eq!((world.molds.as_slice(), world.untold().len()), (&[1][..], 2));
    // While the first worker of a reload is loading it needs no mold any more; those that follow do.
    world.signal(Signal::Hup);
    world.fork_all();
    world.end_mold(Change::Killed(9), true);
    world.pass(1_000);
    assert_eq!(world.molds, [1]);
    world.all_ready();
    assert!(world.said("Reloaded"));
    assert_eq!(world.molds, [1, 2]);
}

#[test]
fn molds_that_end_again_and_again_after_the_import_are_replaced_after_pauses_that_grow() {
    let mut world = preloaded(2);
    let begin = world.now;
    let mut times = Vec::new();
    for _ in 0..10 {
        world.end_mold(Change::Exited(13), true);
        assert!(world.molds.len() == times.len(), "not at once");
        while world.molds.len() == times.len() {
            world.pass(100);
        }
        times.push(world.now - begin);
    }
    assert_eq!(times, [100, 300, 700, 1_500, 3_100, 6_300, 12_700, 25_500, 51_100, 81_100]);
    assert!(world.said("The workers go on; the next mold is started in 30.0 s"), "{:?}", world.lines);
    assert_eq!((world.untold().len(), world.spawns.len()), (2, 2));
    // A worker that is needed meanwhile waits as long as the mold.
    world.end_mold(Change::Exited(13), true);
    world.end(1, Change::Killed(9));
    world.pass(29_000);
    assert_eq!((world.molds.len(), world.spawns.len()), (10, 2));
    world.pass(1_000);
    assert_eq!((world.molds.len(), world.spawns.len()), (11, 3));
}

#[test]
fn a_mold_that_is_late_is_ended_and_tried_again_or_the_reload_given_up() {
    let mut world = World::begin(policy(2), true);
    let limit = policy(2).boot;
    world.pass(limit);
    assert!(world.molds == [1] && !world.said("SIGKILL"));
    world.pass(1_000);
    world.all_ready();
    assert_eq!(world.untold().len(), 2);
    world.signal(Signal::Hup);
    world.pass(limit);
    assert!(world.said("Reload failed: no worker was ready within"), "{:?}", world.lines);
    assert_eq!((world.supervisor.generations(), world.untold().len()), ((1, None), 2));
}

#[test]
fn the_time_that_the_mold_took_to_load_the_app_is_not_the_workers() {
    let mut world = World::begin(policy(1), true);
    let limit = policy(1).boot;
    world.pass(limit - 1_000);
    world.fork_all();
    world.pass(limit - 1_000);
    assert!(!world.said("--boot-timeout"));
    world.all_ready();
    assert_eq!(world.untold().len(), 1);
}

#[test]
fn what_is_known_of_the_oom_killer_is_told_of_molds_too() {
    let mut world = preloaded(1);
    let ended = |oom| Broken {
        generation: 1,
        pid: 500,
        change: Change::Killed(9),
        oom,
        loaded: true,
        asked_exit: None,
        late: false,
        ages: Vec::new(),
    };
    world.give(Event::MoldEnded(ended(Some(Oom::Struck { within: 0 }))));
    assert!(world.said("Mold (pid:500) was sent SIGKILL! Out of memory, it seems"), "{:?}", world.lines);
    world.give(Event::MoldEnded(ended(Some(Oom::Spared))));
    assert!(world.said("Mold (pid:500) was sent SIGKILL! Not by the kernel's OOM killer"));
}

#[test]
fn a_stop_waits_for_no_mold() {
    let mut world = World::begin(policy(2), true);
    world.signal(Signal::Term);
    assert_eq!(world.halted, Some(ExitCode::OK));
}
