//! A host: the smallest event loop that can have the server's as its guest.

use std::cell::Cell;
use std::rc::Rc;

use ferricorn_protocol::{Guest, Look, Pumped};
use ferricorn_unix::poll;

/// Pumps until the guest's life is over. Each turn begins with `act`, which may wake tasks of the guest.
pub(crate) fn host(guest: &Rc<dyn Guest>, mut act: impl FnMut()) {
    let rung = Rc::new(Cell::new(false));
    let bell = rung.clone();
    guest.set_bell(Box::new(move || assert!(!bell.replace(true), "the bell rang twice before a pump")));
    let mut busy = false;
    loop {
        act();
        let wait = if busy || rung.get() { Some(0) } else { None };
        let readable = poll::readable(&[guest.descriptor()], wait).unwrap() == [true];
        let pumped = match rung.take() {
            _ if readable => guest.pump(Look::Kernel),
            true => guest.pump(Look::Tasks),
            false if busy => guest.pump(Look::Tasks),
            false => continue,
        };
        busy = match pumped {
            Pumped::Over => return,
            Pumped::Busy => true,
            Pumped::Idle => false,
        };
    }
}
