//! Reloads: one worker tries the new code, then a new generation takes over, or the old one goes on serving.

use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::signal::{self, Signal};
use ferricorn_unix::wait::Change;

use super::{POLICY, Policy, World};

const THREE: Policy = Policy { workers: 3, ..POLICY };

fn generations(world: &World) -> Vec<u64> {
    world.processes.values().map(|process| process.generation).collect()
}

#[test]
fn one_worker_tries_the_new_code_and_then_one_comes_as_one_goes() {
    let mut world = World::ready(THREE);
    world.signal(Signal::Hup);
    world.pass(10_000);
    assert_eq!((world.ages(), world.untold()), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    world.report(4, Report::Ready);
    assert!(world.said("Reloaded: a worker with the new code is ready"));
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful)]);
    // The next one waits until that one has ended what it was about.
    world.pass(10_000);
    assert_eq!(world.ages(), [1, 2, 3, 4]);
    world.obey();
    assert_eq!((world.ages(), world.untold()), (vec![2, 3, 4, 5], vec![2, 3, 4, 5]));
    world.report(5, Report::Ready);
    assert_eq!(world.told().collect::<Vec<_>>(), [(2, Order::Graceful)]);
    world.obey();
    world.report(6, Report::Ready);
    world.obey();
    assert_eq!((world.ages(), generations(&world)), (vec![4, 5, 6], vec![2, 2, 2]));
    assert_eq!(world.supervisor.generations(), (2, None));
}

#[test]
fn with_a_larger_surge_more_come_at_once_but_one_is_first() {
    let policy = Policy { surge: 2, ..THREE };
    let mut world = World::ready(policy);
    world.signal(Signal::Hup);
    assert_eq!(world.ages().len(), 4);
    world.report(4, Report::Ready);
    assert_eq!(world.ages(), [1, 2, 3, 4, 5]);
    world.report(5, Report::Ready);
    assert_eq!(world.untold(), [3, 4, 5]);
    world.obey();
    world.report(6, Report::Ready);
    assert_eq!(world.untold(), [4, 5, 6]);
}

#[test]
fn a_reload_onto_code_that_does_not_load_leaves_the_old_workers_alone() {
    for (code, what) in [(3, "failed to boot"), (4, "could not load the app")] {
        let mut world = World::ready(POLICY);
        world.signal(Signal::Hup);
        world.end(3, Change::Exited(code));
        let line = format!("Reload failed: worker (pid:1003) {what}, and has logged why. 2 workers go on");
        assert!(world.said(&line), "{:?}", world.lines);
        world.pass(100_000);
        assert_eq!((world.ages(), world.untold(), world.halted), (vec![1, 2], vec![1, 2], None));
        assert_eq!(world.supervisor.generations(), (1, None));
        // The next one, with the fault mended, works.
        world.signal(Signal::Hup);
        roll(&mut world);
        assert_eq!(generations(&world), [3, 3]);
    }
}

/// Lets a reload come to its end.
fn roll(world: &mut World) {
    for _ in 0..10 {
        world.all_ready();
        world.obey();
    }
}

#[test]
fn a_new_worker_that_dies_before_it_is_ready_fails_the_reload() {
    for end in [Change::Killed(11), Change::Exited(1), Change::Exited(0)] {
        let mut world = World::ready(POLICY);
        world.signal(Signal::Hup);
        world.end(3, end);
        assert!(
            world.said("Reload failed: worker (pid:1003) ended before it was ready. 2 workers go on serving")
        );
        world.pass(10_000);
        assert_eq!(world.ages(), [1, 2]);
    }
    let mut world = World::ready(POLICY);
    world.failing_forks = 1;
    world.signal(Signal::Hup);
    assert!(world.said("Reload failed: a worker cannot be started: no memory."));
    assert_eq!(world.ages(), [1, 2]);
}

#[test]
fn a_new_worker_that_is_not_ready_in_time_fails_the_reload_and_shows_its_stack() {
    let mut world = World::ready(POLICY);
    world.reloads.push(Ok(Policy { boot: 10_000, ..POLICY }));
    world.signal(Signal::Hup);
    world.pass(9_999);
    assert_eq!(world.ages(), [1, 2, 3]);
    world.pass(1_000);
    assert!(world.said("Worker (pid:1003) is not ready after 10.0 s (--boot-timeout), and is killed"));
    assert!(
        world.said(
            "Reload failed: no worker was ready within 10.0 s (--boot-timeout). 2 workers go on serving"
        )
    );
    assert_eq!((world.ages(), world.untold()), (vec![1, 2], vec![1, 2]));
    world.signal(Signal::Hup);
    roll(&mut world);
    assert_eq!(generations(&world), [3, 3]);
}

#[test]
fn a_worker_that_dies_during_the_trial_is_replaced_by_one_of_what_serves() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.pass(1_000);
    world.end(1, Change::Killed(9));
    assert_eq!(generations(&world), [1, 2, 1]);
    world.report(4, Report::Ready);
    world.report(3, Report::Ready);
    world.obey();
    roll(&mut world);
    assert_eq!(generations(&world), [2, 2]);
}

#[test]
fn what_dies_during_the_roll_over_is_replaced_at_once() {
    let mut world = World::ready(THREE);
    world.signal(Signal::Hup);
    world.pass(1_000);
    world.report(4, Report::Ready);
    // One is on its way out, so there are four processes already.
    world.end(2, Change::Killed(9));
    assert_eq!((world.ages(), generations(&world)), (vec![1, 3, 4, 5], vec![1, 1, 2, 2]));
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let mut world = World::ready(POLICY);
    world.reloads.push(Err("workers must be a number".to_owned()));
    world.signal(Signal::Hup);
    assert_eq!(world.untold(), [1, 2]);
    assert!(world.said("workers must be a number"));
    world.signal(Signal::Hup);
    assert_eq!(world.ages().len(), 3);
}

#[test]
fn a_reload_may_change_the_number_of_workers() {
    for workers in [0, 1, 5] {
        let mut world = World::ready(POLICY);
        world.reloads.push(Ok(Policy { workers, ..POLICY }));
        world.signal(Signal::Hup);
        roll(&mut world);
        assert_eq!(world.ages().len(), workers);
    }
}

#[test]
fn a_reload_during_a_reload_follows_it() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.signal(Signal::Hup);
    world.signal(Signal::Hup);
    assert!(world.said("A reload is under way; the next one begins when it is over"));
    assert_eq!(generations(&world), [1, 1, 2]);
    world.report(3, Report::Ready);
    world.obey();
    world.report(4, Report::Ready);
    assert_eq!(generations(&world), [1, 2, 2], "the last old worker has not left");
    world.obey();
    assert_eq!(generations(&world), [2, 2, 3]);
    roll(&mut world);
    assert_eq!(generations(&world), [3, 3]);
    // Two that came together were one.
    world.pass(100_000);
    assert_eq!(world.supervisor.generations(), (3, None));
}

#[test]
fn a_reload_that_was_asked_for_during_one_that_fails_is_not_lost() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.signal(Signal::Hup);
    world.end(3, Change::Exited(3));
    assert_eq!(generations(&world), [1, 1, 3]);
    roll(&mut world);
    assert_eq!(generations(&world), [3, 3]);
}

#[test]
fn a_reload_before_anything_has_served_starts_afresh() {
    let mut world = World::new(POLICY);
    world.signal(Signal::Hup);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Withdraw), (2, Order::Withdraw)]);
    world.end(1, Change::Killed(signal::QUIT));
    assert!(!world.said("SIGQUIT"));
    world.obey();
    assert_eq!(generations(&world), [2, 2]);
    world.end(3, Change::Exited(3));
    world.obey();
    assert_eq!(world.halted.map(|code| code.0), Some(3));
}

#[test]
fn a_stop_ends_a_trial() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.signal(Signal::Hup);
    world.signal(Signal::Term);
    let orders: Vec<_> = world.told().collect();
    assert_eq!(orders, [(1, Order::Graceful), (2, Order::Graceful), (3, Order::Withdraw)]);
    world.obey();
    assert_eq!(world.halted.map(|code| code.0), Some(0));
}

#[test]
fn a_change_of_the_code_that_all_workers_report_is_one_reload() {
    let mut world = World::ready(POLICY);
    world.report(1, Report::Changed);
    world.report(2, Report::Changed);
    assert_eq!(generations(&world), [1, 1, 2]);
    world.report(3, Report::Ready);
    // It is about to leave, and the new one has loaded the code since.
    world.report(1, Report::Changed);
    roll(&mut world);
    assert_eq!((generations(&world), world.supervisor.generations()), (vec![2, 2], (2, None)));
    world.report(3, Report::Changed);
    assert_eq!(world.supervisor.generations(), (2, Some(3)));
    // If the new code is not loaded after all, what has changed meanwhile counts.
    world.report(3, Report::Changed);
    world.end(5, Change::Killed(11));
    assert_eq!(world.supervisor.generations(), (2, Some(4)));
}

#[test]
fn a_change_during_the_trial_of_the_last_one_ends_that_at_once() {
    let mut world = World::ready(POLICY);
    world.report(1, Report::Changed);
    world.report(2, Report::Changed);
    assert_eq!((world.supervisor.generations(), world.untold()), ((1, Some(2)), vec![1, 2, 3]));
    // The import hangs, and the file is mended.
    world.report(2, Report::Changed);
    assert_eq!((world.supervisor.generations(), world.untold()), ((1, Some(3)), vec![1, 2, 4]));
    // The same change.
    world.report(1, Report::Changed);
    assert_eq!((world.supervisor.generations(), world.untold()), ((1, Some(3)), vec![1, 2, 4]));
    world.report(4, Report::Ready);
    roll(&mut world);
    assert_eq!((generations(&world), world.supervisor.generations()), (vec![3, 3], (3, None)));
    assert!(!world.said("Reload failed"));
}

#[test]
fn hup_does_not_cut_a_trial_short() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.signal(Signal::Hup);
    assert_eq!(world.supervisor.generations(), (1, Some(2)));
    assert!(world.said("A reload is under way; the next one begins when it is over"));
}

#[test]
fn code_that_cannot_be_loaded_and_is_shown_instead_is_not_called_new_and_ready() {
    let mut world = World::ready(POLICY);
    world.report(1, Report::Changed);
    world.report(3, Report::Broken);
    world.report(3, Report::Ready);
    assert!(world.said("The new code cannot be loaded; workers show why until it is mended"));
    assert!(!world.said("Reloaded"));
}

#[test]
fn the_end_of_a_roll_over_is_told_once() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Hup);
    world.report(3, Report::Ready);
    assert!(world.said("Reloaded") && !world.said("Reload complete"));
    roll(&mut world);
    world.pass(10_000);
    let told = world.lines.iter().filter(|(_, line)| line.starts_with("Reload complete")).count();
    assert_eq!(told, 1, "{:?}", world.lines);
}
