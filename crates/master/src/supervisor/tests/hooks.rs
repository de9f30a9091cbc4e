//! Hooks that fail in the master.

use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::signal::Signal;
use ferricorn_unix::wait::Change;

use super::super::simulation::World;
use super::super::{Action, Event, Supervisor};
use super::POLICY;

fn failed(age: Option<u64>, exit: Option<ExitCode>) -> Event {
    Event::HookFailed { age, hook: "pre_fork", details: "no luck".to_owned(), exit }
}

#[test]
fn one_that_fails_before_anything_has_served_ends_the_server() {
    let mut world = World::new(POLICY);
    world.give(failed(None, None));
    assert!(world.said("Unhandled exception in main loop (pre_fork hook)\nno luck"));
    assert!(world.supervisor.ends_for_hook());
    world.obey();
    assert_eq!(world.halted, Some(ExitCode::FAILURE));
}

#[test]
fn one_that_fails_while_the_server_ends_is_seen_in_the_status() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Term);
    world.give(failed(None, None));
    world.obey();
    assert_eq!(world.halted, Some(ExitCode::CONFIG));
}

#[test]
fn one_that_fails_later_is_logged_and_the_server_goes_on_unless_it_wants_the_end() {
    let mut world = World::ready(POLICY);
    world.give(failed(None, None));
    assert!(world.said("Exception in pre_fork hook; the server goes on\nno luck"), "{:?}", world.lines);
    assert!(!world.supervisor.ends_for_hook());
    assert_eq!((world.untold().len(), world.halted), (2, None));

    world.give(failed(None, Some(ExitCode(7))));
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Quick), (2, Order::Quick)]);
    world.obey();
    assert_eq!(world.halted, Some(ExitCode(7)));
}

#[test]
fn a_fork_that_a_hook_prevents_is_tried_again_after_pauses_that_grow() {
    let mut world = World::begin_ready(POLICY, true);
    world.pass(1_000);
    world.end(1, Change::Killed(9));
    let begin = world.now;
    for age in 3..7 {
        world.take_waiting();
        world.give(failed(Some(age), None));
        world.pass(1_000);
    }
    assert!(world.said("The worker is not forked; the next try is in 0.8 s"), "{:?}", world.lines);
    let times: Vec<u64> = world.spawns.iter().skip(2).map(|(time, _)| time - begin).collect();
    assert_eq!(times, [0, 100, 1_200, 2_400, 3_800]);
    assert_eq!(world.halted, None);
}

#[test]
fn one_of_a_configuration_on_trial_fails_the_reload_whatever_it_wants() {
    for exit in [None, Some(ExitCode(7))] {
        let mut world = World::begin_ready(POLICY, true);
        world.signal(Signal::Hup);
        world.take_waiting();
        world.give(failed(Some(3), exit));
        assert!(world.said("Exception in pre_fork hook\nno luck"), "{:?}", world.lines);
        assert!(
            world.said(
                "Reload failed: the pre_fork hook of the new configuration has failed. 2 workers go on"
            )
        );
        // A last word of its mold.
        world.give(failed(Some(3), exit));
        assert_eq!((world.supervisor.generations(), world.untold().len()), ((1, None), 2));
        // The next configuration is better.
        world.signal(Signal::Hup);
        world.fork_all();
        world.report(4, Report::Ready);
        assert_eq!((world.supervisor.generations(), world.halted), ((3, None), None));
    }
}

#[test]
fn a_worker_whose_hook_before_the_fork_failed_is_not_waited_for() {
    let mut supervisor = Supervisor::new(POLICY, 0);
    let spawns = supervisor.on(Event::Tick, 0);
    assert_eq!(spawns.len(), 2, "{spawns:?}");
    let hook = failed(Some(1), None);
    assert!(!supervisor.on(hook, 0).contains(&Action::Halt(ExitCode::FAILURE)));
    let last = supervisor.on(Event::NotSpawned { age: 2, why: "a hook has failed".to_owned() }, 0);
    assert!(last.contains(&Action::Halt(ExitCode::FAILURE)), "{last:?}");
    assert!(!last.iter().any(|action| matches!(action, Action::Say(_, line) if line.contains("Next try"))));
}
