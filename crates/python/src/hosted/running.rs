//! Calls that go on: their tasks, or greenlets, did not end at their first step.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::task::Waker;

use super::lock;

/// See the module's first line.
pub(crate) struct Running<C>(Mutex<State<C>>);

struct State<C> {
    /// By their numbers, and so in the order in which they began.
    calls: BTreeMap<u64, C>,
    /// The number of the next one.
    next: u64,
    /// Who waits for the last of them to end.
    quiet: Option<Waker>,
}

impl<C> Default for Running<C> {
    fn default() -> Self {
        Self(Mutex::new(State { calls: BTreeMap::new(), next: 0, quiet: None }))
    }
}

impl<C> Running<C> {
    /// A call goes on. Gives its number.
    pub(crate) fn begin(&self, call: C) -> u64 {
        let mut state = lock(&self.0);
        let number = state.next;
        state.next += 1;
        state.calls.insert(number, call);
        number
    }

    /// The call with this number has ended.
    pub(crate) fn end(&self, number: u64) {
        let mut state = lock(&self.0);
        let call = state.calls.remove(&number);
        let waker = state.calls.is_empty().then(|| state.quiet.take()).flatten();
        drop(state);
        drop(call);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What `look` makes of each of them.
    pub(crate) fn each<T>(&self, look: impl FnMut(&C) -> T) -> Vec<T> {
        lock(&self.0).calls.values().map(look).collect()
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.0).calls.len()
    }

    /// Whether there is none; else `waker` is woken when the last one has ended.
    pub(crate) fn is_quiet(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.0);
        if state.calls.is_empty() {
            return true;
        }
        state.quiet = Some(waker.clone());
        false
    }
}
