//! What becomes of a worker that was sent SIGABRT.

use ferricorn_unix::wait::Change;

use super::{POLICY, Policy, World};

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
