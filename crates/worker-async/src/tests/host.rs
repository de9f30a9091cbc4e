//! A host: the smallest event loop that can have the server's as its guest.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use ferricorn_protocol::{Guest, Look, Pumped};
use ferricorn_unix::poll;

/// How long a host sleeps before it is taken for forgotten, in milliseconds.
const PATIENCE_MS: u64 = 60_000;

/// Pumps until the guest's life is over. `own` is what the host has to watch for itself; `act` is called when that is
/// readable.
pub(crate) fn host(guest: &Rc<dyn Guest>, own: Option<BorrowedFd<'_>>, mut act: impl FnMut()) {
    let rung = Rc::new(Cell::new(false));
    let bell = rung.clone();
    guest.set_bell(Box::new(move || assert!(!bell.replace(true), "the bell rang twice before a pump")));
    let watched: Vec<_> = own.into_iter().chain([guest.descriptor()]).collect();
    let mut busy = false;
    loop {
        let wait = if busy || rung.get() { 0 } else { PATIENCE_MS };
        let readable = poll::readable(&watched, Some(wait)).unwrap();
        assert!(wait == 0 || readable.contains(&true), "nothing has come for a minute");
        if own.is_some() && readable[0] {
            act();
        }
        let kernel = readable.last() == Some(&true);
        if !(kernel || busy || rung.get()) {
            continue;
        }
        rung.set(false);
        match guest.pump(if kernel { Look::Kernel } else { Look::Tasks }) {
            Pumped::Over => return,
            pumped => busy = pumped == Pumped::Busy,
        }
    }
}
