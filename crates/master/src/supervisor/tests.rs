//! The supervisor's behaviour, told as stories in the simulated world.

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::{Order, Report};
use ferricorn_unix::signal::{self, Signal};
use ferricorn_unix::wait::Change;

use super::simulation::World;
use super::{Event, MARGIN, Policy};

const POLICY: Policy = Policy { workers: 2, timeout: Some(30_000), graceful: 30_000 };

#[test]
fn it_forks_as_many_as_were_asked_for_and_replaces_the_dead_at_once() {
    let mut world = World::ready(POLICY);
    assert_eq!(world.ages(), [1, 2]);
    world.pass(5_000);
    world.end(1, Change::Killed(9));
    assert_eq!(world.ages(), [2, 3]);
    assert!(world.said("Worker (pid:1001) was sent SIGKILL! Perhaps out of memory?"));
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
fn ttin_and_ttou_change_the_number_by_one_but_never_below_one() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Ttin);
    assert_eq!(world.ages(), [1, 2, 3]);
    world.all_ready();
    world.signal(Signal::Ttou);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful)]);
    world.obey();
    for _ in 0..5 {
        world.signal(Signal::Ttou);
    }
    world.obey();
    assert_eq!(world.ages(), [3]);
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
fn term_waits_for_the_graceful_timeout_and_names_what_was_in_flight() {
    let mut world = World::ready(POLICY);
    world.pass(100);
    world.call(2, "GET", "/slow");
    world.signal(Signal::Term);
    assert!(!world.listening);
    assert!(world.said("Handling signal: term"));
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful), (2, Order::Graceful)]);
    world.end(1, Change::Exited(0));
    world.pass(29_000);
    assert_eq!(world.halted, None);
    world.pass(1_000 + MARGIN);
    assert_eq!(world.halted, Some(ExitCode::OK));
    assert!(world.said("in flight: GET /slow (30.5 s)"), "{:?}", world.lines);
    assert!(!world.said("out of memory"));
    assert_eq!(world.lines.last().unwrap(), &(LogLevel::Info, "Shutting down: Master".to_owned()));
}

#[test]
fn int_during_term_makes_it_quick_and_a_second_term_changes_nothing() {
    for signal in [Signal::Int, Signal::Quit] {
        let mut world = World::ready(POLICY);
        world.signal(Signal::Term);
        world.signal(Signal::Term);
        assert_eq!(world.told().next(), Some((1, Order::Graceful)));
        world.signal(signal);
        assert!(world.told().all(|(_, order)| order == Order::Quick));
        world.pass(2_000);
        assert_eq!(world.halted, Some(ExitCode::OK));
    }
}

#[test]
fn an_order_reaches_a_worker_that_was_still_loading() {
    let mut world = World::new(POLICY);
    world.report(1, Report::Ready);
    world.signal(Signal::Term);
    assert_eq!(world.told().collect::<Vec<_>>(), [(1, Order::Graceful), (2, Order::Quick)]);
}

#[test]
fn even_a_worker_that_the_kernel_does_not_let_go_cannot_hold_the_end_up() {
    let mut world = World::ready(POLICY);
    world.processes.get_mut(&1).unwrap().immortal = true;
    world.signal(Signal::Term);
    world.pass(60_000);
    assert_eq!(world.halted, Some(ExitCode::OK));
    assert!(world.said("did not even end at SIGKILL"));
}

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
fn what_is_not_supported_yet_says_so_and_does_nothing() {
    let mut world = World::ready(POLICY);
    for signal in [Signal::Usr2, Signal::Winch] {
        world.signal(signal);
        assert!(world.said(&format!("{} is not supported yet", signal.word())));
    }
    assert_eq!(world.untold(), [1, 2]);
}

#[test]
fn usr1_reaches_every_worker() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Usr1);
    assert!(world.processes.values().all(|process| process.orders == [Order::Reopen]));
    assert_eq!(world.untold(), [1, 2]);
}

#[test]
fn a_call_older_than_the_timeout_is_named_and_its_worker_replaced() {
    let mut world = World::ready(POLICY);
    world.pass(10_000);
    world.call(1, "GET", "/stuck");
    world.processes.get_mut(&1).unwrap().seen.requests = 12;
    // The loop goes on, only the call does not.
    for _ in 0..29 {
        world.pass(1_000);
        world.beat(1);
    }
    assert!(!world.said("WORKER TIMEOUT"));
    world.pass(2_000);
    assert!(world.lines.contains(&(LogLevel::Critical, "WORKER TIMEOUT (pid:1001)".to_owned())));
    let line = "GET /stuck has kept worker (pid:1001) busy for 30.";
    assert!(world.said(line) && world.said("it had answered 12 requests before"), "{:?}", world.lines);
    world.pass(1_000);
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn one_that_shrugs_off_sigabrt_is_killed_and_replaced_meanwhile() {
    let mut world = World::ready(POLICY);
    world.call(1, "GET", "/stuck");
    world.processes.get_mut(&1).unwrap().stubborn = true;
    world.pass(31_100);
    assert!(world.processes[&1].aborted);
    assert_eq!(world.ages(), [1, 2, 3]);
    world.pass(1_100);
    assert_eq!(world.ages(), [2, 3]);
    assert!(world.said("did not end at SIGABRT"));
}

#[test]
fn one_whose_call_ends_at_sigabrt_finishes_the_rest_and_is_replaced_meanwhile() {
    let mut world = World::ready(POLICY);
    world.call(1, "GET", "/stuck");
    world.processes.get_mut(&1).unwrap().stubborn = true;
    world.pass(31_100);
    assert!(world.processes[&1].aborted);
    world.answer(1);
    for _ in 0..20 {
        world.call(1, "GET", "/innocent");
        world.pass(1_000);
    }
    assert_eq!(world.ages(), [1, 2, 3]);
    world.end(1, Change::Exited(1));
    assert!(world.said("Worker (pid:1001) ended at SIGABRT") && !world.said("killed"), "{:?}", world.lines);
    world.pass(100_000);
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn one_that_never_finishes_after_sigabrt_is_killed_at_last() {
    let mut world = World::ready(Policy { graceful: 10_000, ..POLICY });
    world.call(1, "GET", "/stuck");
    world.processes.get_mut(&1).unwrap().stubborn = true;
    world.pass(31_100);
    for _ in 0..9 {
        world.answer(1);
        world.call(1, "GET", "/endless");
        world.pass(1_000);
    }
    assert_eq!(world.ages(), [1, 2, 3]);
    world.pass(2_000);
    assert_eq!(world.ages(), [2, 3]);
    assert!(world.said("did not leave within 10.0 s of SIGABRT and is killed; in flight: GET /endless"));
}

#[test]
fn one_that_is_stuck_again_after_sigabrt_is_killed() {
    let mut world = World::ready(Policy { timeout: Some(2_000), ..POLICY });
    world.call(1, "GET", "/stuck");
    world.processes.get_mut(&1).unwrap().stubborn = true;
    world.pass(3_000);
    assert!(world.processes[&1].aborted);
    world.call(1, "GET", "/stuck-as-well");
    world.pass(4_500);
    assert_eq!(world.ages(), [2, 3]);
    assert!(world.said("did not end at SIGABRT and is killed; in flight: GET /stuck-as-well"));
}

#[test]
fn a_stop_that_became_a_quick_one_says_how_long_it_waited() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Term);
    world.pass(1_000);
    world.signal(Signal::Int);
    world.pass(2_500);
    assert!(world.said("did not leave within 3.0 s, though hurried by a quick stop, and is killed"));
    assert!(!world.said("graceful timeout"), "{:?}", world.lines);
}

#[test]
fn one_that_finishes_while_its_stack_is_taken_is_spared() {
    let mut world = World::ready(POLICY);
    world.call(1, "GET", "/just-in-time");
    while !world.said("WORKER TIMEOUT") {
        world.pass(100);
    }
    world.answer(1);
    world.pass(60_000);
    assert_eq!(world.ages(), [1, 2]);
    assert!(world.said("made progress after all"));
}

#[test]
fn a_loop_that_does_not_turn_counts_only_while_requests_wait() {
    let mut world = World::ready(POLICY);
    world.beat(1);
    world.pass(100_000);
    // A request after a long sleep: the loop had no reason to turn before.
    let since_ms = world.now;
    world.call(1, "GET", "/");
    let seen = &mut world.processes.get_mut(&1).unwrap().seen;
    seen.calls.clear();
    seen.beat_ms = since_ms - 90_000;
    world.pass(29_000);
    assert_eq!(world.untold(), [1, 2]);
    assert!(!world.said("WORKER TIMEOUT"));
    world.pass(3_000);
    assert!(world.said("The loop of worker (pid:1001) has not turned for 30"));
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn a_loop_that_is_too_busy_to_beat_but_answers_is_left_alone() {
    let mut world = World::ready(POLICY);
    world.call(1, "GET", "/a-long-download");
    world.processes.get_mut(&1).unwrap().seen.calls.clear();
    for _ in 0..100 {
        world.pass(1_000);
        world.processes.get_mut(&1).unwrap().seen.requests += 1;
    }
    assert!(!world.said("WORKER TIMEOUT"));
    world.pass(32_000);
    assert!(world.said("The loop of worker (pid:1001) has not turned"));
}

#[test]
fn a_stopped_worker_is_killed_after_the_timeout_and_one_continued_in_time_is_not() {
    let mut world = World::ready(POLICY);
    world.call(2, "GET", "/held");
    for age in [1, 2] {
        world.give(Event::Changed { age, change: Change::Stopped });
    }
    world.pass(20_000);
    world.give(Event::Changed { age: 2, change: Change::Continued });
    world.pass(11_000);
    assert!(world.said("WORKER TIMEOUT (pid:1001)"));
    // The call of the other is older than the timeout, but for 20 s of it nobody could have worked on it.
    assert_eq!(world.ages(), [2, 3]);
    world.answer(2);
    world.pass(60_000);
    assert_eq!(world.ages(), [2, 3]);
}

#[test]
fn nobody_is_blamed_for_the_time_in_which_everything_stood_still() {
    let mut world = World::ready(POLICY);
    world.call(1, "GET", "/");
    world.pass(1_000);
    // A container that is frozen: the clock goes on, nobody else does.
    world.now += 600_000;
    world.give(Event::Tick);
    world.pass(20_000);
    assert!(!world.said("WORKER TIMEOUT"));
}

#[test]
fn without_a_timeout_nobody_is_judged_and_the_master_sleeps() {
    let mut world = World::ready(Policy { timeout: None, ..POLICY });
    world.call(1, "GET", "/");
    assert_eq!(world.supervisor.deadline(), None);
    world.pass(10_000_000);
    assert_eq!(world.ages(), [1, 2]);
}

/// Worker 1 has an idle connection; what is said of it afterwards.
fn connected(policy: Policy) -> World {
    let mut world = World::ready(policy);
    world.processes.get_mut(&1).unwrap().seen.connections = 1;
    world
}

#[test]
fn a_worker_with_connections_is_asked_for_a_beat_and_one_that_answers_is_let_be() {
    let mut world = connected(POLICY);
    world.pass(14_000);
    assert_eq!(world.asked, []);
    world.pass(286_000);
    // No more often than every half of the timeout, and only the one.
    assert!(
        (15..=20).contains(&world.asked.len()) && world.asked.iter().all(|&age| age == 1),
        "{:?}",
        world.asked
    );
    assert!(!world.said("WORKER TIMEOUT"));
    assert_eq!(world.untold(), [1, 2]);
}

#[test]
fn a_loop_that_is_silent_for_the_timeout_after_it_was_asked_is_stuck() {
    let mut world = connected(POLICY);
    let process = world.processes.get_mut(&1).unwrap();
    (process.deaf, process.stubborn) = (true, true);
    world.pass(44_000);
    assert!(!world.said("WORKER TIMEOUT"), "{:?}", world.lines);
    world.pass(5_000);
    assert!(
        world.said("WORKER TIMEOUT (pid:1001)") && world.said("did not end at SIGABRT"),
        "{:?}",
        world.lines
    );
    assert!(
        world.said("The loop of worker (pid:1001) has not turned for 30.")
            && world.said("no request was in flight")
    );
    assert_eq!((world.ages(), world.asked), (vec![2, 3], vec![1]));
}

#[test]
fn a_loop_that_slept_for_long_has_all_of_the_timeout_when_it_is_blocked() {
    let mut world = World::ready(POLICY);
    world.pass(600_000);
    assert_eq!(world.asked, []);
    let process = world.processes.get_mut(&1).unwrap();
    (process.seen.connections, process.deaf) = (1, true);
    world.pass(29_000);
    assert_eq!(world.asked, [1]);
    assert!(!world.said("WORKER TIMEOUT"));
    world.beat(1);
    world.processes.get_mut(&1).unwrap().deaf = false;
    world.pass(60_000);
    assert_eq!(world.untold(), [1, 2]);
    assert!(!world.said("WORKER TIMEOUT"));
}

#[test]
fn a_worker_without_connections_is_asked_while_clients_wait_to_be_accepted() {
    let mut world = World::ready(POLICY);
    world.processes.get_mut(&2).unwrap().deaf = true;
    world.pass(100_000);
    assert_eq!(world.asked, []);
    world.clients = true;
    world.pass(32_000);
    assert!(world.said("WORKER TIMEOUT (pid:1002)") && !world.said("WORKER TIMEOUT (pid:1001)"));
    assert_eq!(world.ages(), [1, 3]);
}

#[test]
fn a_worker_that_is_in_a_call_is_judged_by_that_and_not_asked() {
    let mut world = connected(POLICY);
    world.processes.get_mut(&1).unwrap().deaf = true;
    // It was asked just before its app was called, and is busy with one call after the other.
    world.pass(16_000);
    assert_eq!(world.asked, [1]);
    for _ in 0..4 {
        world.call(1, "GET", "/");
        world.processes.get_mut(&1).unwrap().seen.beat_ms = 0;
        world.pass(25_000);
        world.answer(1);
    }
    assert_eq!(world.asked, [1]);
    assert!(!world.said("WORKER TIMEOUT"), "{:?}", world.lines);
}

#[test]
fn a_stopped_worker_is_not_asked_and_the_time_is_not_counted_as_silence() {
    let mut world = connected(POLICY);
    world.processes.get_mut(&1).unwrap().deaf = true;
    world.pass(16_000);
    world.give(Event::Changed { age: 1, change: Change::Stopped });
    world.pass(25_000);
    world.give(Event::Changed { age: 1, change: Change::Continued });
    world.pass(29_000);
    assert!(!world.said("WORKER TIMEOUT"), "{:?}", world.lines);
    world.pass(3_000);
    assert!(world.said("WORKER TIMEOUT (pid:1001)"));
}

#[test]
fn without_a_timeout_nobody_is_asked() {
    let mut world = connected(Policy { timeout: None, ..POLICY });
    world.clients = true;
    world.pass(1_000_000);
    assert_eq!(world.asked, []);
}
