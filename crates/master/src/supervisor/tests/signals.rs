//! Signals that neither stop nor reload: TTIN and TTOU, USR1, and those that are not supported yet.

use ferricorn_unix::control::Order;
use ferricorn_unix::signal::Signal;

use super::{POLICY, World};

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
fn usr1_reaches_every_worker() {
    let mut world = World::ready(POLICY);
    world.signal(Signal::Usr1);
    assert!(world.processes.values().all(|process| process.orders == [Order::Reopen]));
    assert_eq!(world.untold(), [1, 2]);
}
