//! What holds whatever happens, in whatever order.

use ferricorn_unix::control::Report;
use ferricorn_unix::signal::Signal;
use ferricorn_unix::wait::Change;
use proptest::prelude::*;

use super::children::Life;
use super::simulation::World;
use super::{Event, Policy};

const MOST: usize = 4;

/// One thing that happens; indices choose among the workers there are.
#[derive(Clone, Debug)]
enum Step {
    Signal(Signal),
    Ready(usize),
    Leaving(usize),
    Spent(usize),
    End(usize, Change),
    Freeze(usize),
    Continue(usize),
    Call(usize),
    Answer(usize),
    Obey,
    Pass(u64),
    FailReload,
    Resize(usize),
    FailFork,
    Fork,
    MoldEnds(Change, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let signal = prop::sample::select(Signal::ALL.to_vec())
        .prop_filter("no stop", |signal| !matches!(signal, Signal::Term | Signal::Int | Signal::Quit));
    let end = prop_oneof![
        Just(Change::Exited(0)),
        Just(Change::Exited(1)),
        Just(Change::Exited(3)),
        Just(Change::Exited(4)),
        Just(Change::Killed(9)),
        Just(Change::Killed(11)),
    ];
    let who = 0..12_usize;
    let step = prop_oneof![
        3 => signal.prop_map(Step::Signal),
        6 => who.clone().prop_map(Step::Ready),
        1 => who.clone().prop_map(Step::Leaving),
        1 => who.clone().prop_map(Step::Spent),
        3 => (who.clone(), end).prop_map(|(who, change)| Step::End(who, change)),
        1 => who.clone().prop_map(Step::Freeze),
        1 => who.clone().prop_map(Step::Continue),
        2 => who.clone().prop_map(Step::Call),
        2 => who.prop_map(Step::Answer),
        3 => Just(Step::Obey),
        6 => (1..40_000_u64).prop_map(Step::Pass),
        1 => Just(Step::FailReload),
        1 => (1..=MOST).prop_map(Step::Resize),
        1 => Just(Step::FailFork),
        4 => Just(Step::Fork),
        1 => mold_ends(),
    ];
    prop::collection::vec(step, 1..80)
}

/// The end of a mold, and whether it had loaded the app; nothing where there are none.
fn mold_ends() -> impl Strategy<Value = Step> {
    let change = prop_oneof![Just(Change::Exited(3)), Just(Change::Killed(9)), Just(Change::Exited(0))];
    (change, any::<bool>()).prop_map(|(change, loaded)| Step::MoldEnds(change, loaded))
}

/// What happens around reloads.
fn changes() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..12_usize;
    let end = prop_oneof![Just(Change::Exited(3)), Just(Change::Exited(1)), Just(Change::Killed(9))];
    let step = prop_oneof![
        3 => Just(Step::Signal(Signal::Hup)),
        6 => who.clone().prop_map(Step::Ready),
        2 => who.clone().prop_map(Step::Spent),
        1 => (who, end).prop_map(|(who, change)| Step::End(who, change)),
        4 => Just(Step::Obey),
        4 => (1..3_000_u64).prop_map(Step::Pass),
        1 => Just(Step::FailReload),
        1 => (1..=MOST).prop_map(Step::Resize),
        1 => Just(Step::FailFork),
        4 => Just(Step::Fork),
        1 => mold_ends(),
    ];
    prop::collection::vec(step, 1..120)
}

fn policy(workers: usize) -> Policy {
    Policy {
        workers,
        timeout: Some(10_000),
        graceful: 5_000,
        boot: 20_000,
        surge: 1,
        memory: None,
        lifetime: None,
        drain_delay: 0,
    }
}

fn take(world: &mut World, step: Step) {
    let ages = world.ages();
    let choose = |who: usize| ages.get(who % ages.len().max(1)).copied();
    match step {
        Step::Signal(signal) => world.signal(signal),
        Step::Ready(who) => choose(who).into_iter().for_each(|age| world.report(age, Report::Ready)),
        Step::Leaving(who) => choose(who).into_iter().for_each(|age| world.report(age, Report::Leaving)),
        Step::Spent(who) => choose(who).into_iter().for_each(|age| world.report(age, Report::Spent)),
        Step::End(who, change) => choose(who).into_iter().for_each(|age| world.end(age, change)),
        Step::Freeze(who) => {
            choose(who)
                .into_iter()
                .for_each(|age| world.give(Event::Changed { age, change: Change::Stopped }));
        }
        Step::Continue(who) => {
            choose(who)
                .into_iter()
                .for_each(|age| world.give(Event::Changed { age, change: Change::Continued }));
        }
        Step::Call(who) => choose(who).into_iter().for_each(|age| world.call(age, "GET", "/")),
        Step::Answer(who) => choose(who).into_iter().for_each(|age| world.answer(age)),
        Step::Obey => world.obey(),
        Step::Pass(millis) => world.pass(millis),
        Step::FailReload => world.reloads.push(Err("broken".to_owned())),
        Step::Resize(workers) => world.reloads.push(Ok(policy(workers))),
        Step::FailFork => world.failing_forks += 1,
        Step::Fork => world.fork(),
        Step::MoldEnds(change, loaded) => world.end_mold(change, loaded),
    }
}

/// A worker that answers at once whatever it is asked, and must therefore never be killed.
fn keep_busy(world: &mut World, millis: u64) {
    for _ in 0..millis / 500 {
        for age in world.ages() {
            if world.processes.contains_key(&age) {
                world.answer(age);
                world.call(age, "GET", "/");
            }
        }
        world.pass(500);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn there_are_never_more_workers_than_wanted_per_generation(preload: bool, steps in steps()) {
        let mut world = World::begin(policy(2), preload);
        for step in steps {
            take(&mut world, step);
            if world.halted.is_some() {
                return Ok(());
            }
            let (current, _) = world.supervisor.generations();
            let serving = world.supervisor.children.serving(current);
            let wanted = world.supervisor.target();
            // A worker that is stuck or not yet ready cannot be told to leave at once, so it may be one of two too
            // many for a moment after TTOU; never more than were asked for when it was forked.
            let untellable = world.supervisor.children.count(|child| child.is_serving() && !matches!(child.life, Life::Booting | Life::Ready));
            prop_assert!(serving <= wanted + untellable, "{serving} of {wanted}");
        }
    }

    #[test]
    fn a_reload_takes_no_worker_away_and_adds_few(preload: bool, steps in changes(), surge in 1..3_usize) {
        let mut world = World::begin_ready(Policy { surge, ..policy(3) }, preload);
        let mut most = 3;
        for step in steps {
            let before = world.serving();
            match step {
                // Who loads the app may fail to; who serves does not die here.
                Step::End(who, change) => {
                    let booting: Vec<u64> = world.booting();
                    if let Some(&age) = booting.get(who % booting.len().max(1)) {
                        world.end(age, change);
                    }
                }
                Step::Resize(workers) => world.reloads.push(Ok(Policy { surge, ..policy(workers) })),
                other => take(&mut world, other),
            }
            most = most.max(world.supervisor.wanted);
            let (serving, wanted) = (world.serving(), world.supervisor.wanted);
            prop_assert!(serving >= before.min(wanted), "{before} served, {serving} do, {wanted} should");
            let replaced = world.supervisor.children.count(|child| child.replaced);
            prop_assert!(replaced <= 1);
            let may = most + surge + replaced;
            prop_assert!(world.living() <= may, "{} live, {may} may", world.living());
        }
        // Whoever is told to leave leaves; then there is one generation, and the right number of workers.
        world.reloads.clear();
        world.failing_forks = 0;
        for _ in 0..100 {
            world.pass(1_000);
            world.all_ready();
            world.obey();
        }
        let current = world.supervisor.generations();
        prop_assert_eq!(current.1, None);
        // Who has had its time may be in the middle of being replaced.
        prop_assert_eq!(world.untold().len(), world.supervisor.target(), "{:?}", world.supervisor);
        prop_assert!(world.processes.values().all(|process| process.generation == current.0));
    }

    #[test]
    fn a_halt_always_ends(preload: bool, steps in steps(), stop in prop::sample::select(vec![Signal::Term, Signal::Int]), immortal: bool) {
        let mut world = World::begin(policy(2), preload);
        steps.into_iter().for_each(|step| if world.halted.is_none() { take(&mut world, step) });
        world.processes.values_mut().for_each(|process| process.immortal = immortal);
        if world.halted.is_none() {
            world.signal(stop);
        }
        // The graceful timeout, SIGABRT and SIGKILL, and giving up.
        world.pass(30_000);
        prop_assert!(world.halted.is_some(), "{:?}", world.supervisor);
        prop_assert!(immortal || world.processes.is_empty());
        prop_assert_eq!(world.supervisor.deadline(), None);
    }

    #[test]
    fn no_worker_that_makes_progress_is_ever_killed(preload: bool, steps in steps()) {
        let mut world = World::begin(policy(2), preload);
        for step in steps {
            // Processes that are stopped make none, and those told to leave have a deadline.
            if matches!(step, Step::Freeze(_) | Step::Call(_)) {
                continue;
            }
            match step {
                Step::Pass(millis) => keep_busy(&mut world, millis),
                other => take(&mut world, other),
            }
            world.obey();
            if world.halted.is_some() {
                return Ok(());
            }
        }
        let leaving = world.said("did not leave within");
        prop_assert!(!world.said("WORKER TIMEOUT"), "{:?}", world.lines);
        prop_assert!(leaving || !world.processes.values().any(|process| process.killed));
    }

    #[test]
    fn the_wanted_number_is_reached_once_workers_boot_again(preload: bool, steps in steps()) {
        let mut world = World::begin(policy(2), preload);
        steps.into_iter().for_each(|step| if world.halted.is_none() { take(&mut world, step) });
        if world.supervisor.is_stopping() {
            return Ok(());
        }
        world.failing_forks = 0;
        for age in world.ages() {
            world.give(Event::Changed { age, change: Change::Continued });
        }
        for _ in 0..200 {
            world.all_ready();
            world.obey();
            keep_busy(&mut world, 1_000);
        }
        prop_assert_eq!(world.untold().len(), world.supervisor.target(), "{:?}", world.supervisor);
        prop_assert!(world.processes.values().all(|process| process.generation == world.supervisor.generations().0));
    }

    #[test]
    fn nothing_ever_served_is_lost_to_a_boot_failure(preload: bool, steps in steps()) {
        let mut world = World::begin_ready(policy(2), preload);
        for step in steps {
            take(&mut world, step);
            prop_assert_eq!(world.halted, None);
        }
    }
}
