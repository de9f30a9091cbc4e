//! Further app threads: started when a call waits and none is free, and kept until the worker leaves.

use std::sync::{Arc, PoisonError};
use std::thread;

use ferricorn_protocol::AppFault;

use super::{Seat, Shared, Work, lock};

/// Asks for the app thread of this number.
pub(super) type Hire = dyn Fn(usize) + Send + Sync;

/// The life of an app thread.
pub(crate) type Life = Box<dyn FnOnce() + Send>;

impl<W: Work> Seat<W> {
    /// Has app threads started with `begin` from now on, each with a number. It is called on a thread that lives for
    /// this alone, since the one that finds that it needs an app thread drives the loop. `tell` hears how many there are
    /// if no more can be started, and `None` when one could be again.
    pub(crate) fn hire_with(
        self: &Arc<Self>,
        begin: impl Fn(usize, Life) -> Result<(), AppFault> + Send + Sync + 'static,
        tell: impl Fn(Option<usize>) + Send + Sync + 'static,
    ) {
        let (seat, begin, tell) = (Arc::downgrade(self), Arc::new(begin), Arc::new(tell));
        let hire = move |number| {
            let Some(seat) = seat.upgrade() else { return };
            let (begin, tell, shared) = (begin.clone(), tell.clone(), seat.shared.clone());
            let told = tell.clone();
            let helper = Alive::new(&shared);
            let body = move || {
                let alive = Alive::new(&seat.shared);
                let shared = seat.shared.clone();
                let life = Box::new(move || {
                    let _alive = alive;
                    // Before the thread counts as gone, it holds the seat no more.
                    serve(seat, number);
                });
                match begin(number, life) {
                    Ok(()) => told(None),
                    Err(fault) => told(Some(shared.not_hired(number, &fault))),
                }
                drop(helper);
            };
            let thread = thread::Builder::new().name("ferricorn-hire".to_owned());
            if let Err(error) = thread.spawn(body) {
                tell(Some(shared.not_hired(number, &AppFault::new(error.to_string()))));
            }
        };
        let _ = self.shared.hire.set(Box::new(hire));
    }

    /// Waits, after [`Shared::stop`], for the app threads that were started to come to their end.
    pub(crate) fn join(&self) {
        let mut pool = lock(&self.shared.pool);
        while pool.alive > 0 {
            pool = self.shared.gone.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn serve<W: Work>(seat: Arc<Seat<W>>, number: usize) {
    lock(&seat.shared.pool).hired();
    seat.serve(number);
}

/// A thread that is to end before the worker does.
struct Alive<W: Work>(Arc<Shared<W>>);

impl<W: Work> Alive<W> {
    fn new(shared: &Arc<Shared<W>>) -> Self {
        lock(&shared.pool).alive += 1;
        Self(shared.clone())
    }
}

impl<W: Work> Drop for Alive<W> {
    fn drop(&mut self) {
        lock(&self.0.pool).alive -= 1;
        self.0.gone.notify_all();
    }
}

impl<W: Work> Shared<W> {
    /// Has an app thread started, which the pool has counted.
    pub(super) fn hire(&self, number: usize) {
        match self.hire.get() {
            Some(hire) => hire(number),
            None => drop(lock(&self.pool).not_hired()),
        }
    }

    fn not_hired(&self, number: usize, fault: &AppFault) -> usize {
        let left = lock(&self.pool).not_hired();
        tracing::error!(
            "Cannot start app thread {} ({fault}); this worker goes on with {left}. Lower --threads, or raise the \
             limits on processes and memory",
            number + 1
        );
        // The call goes to one that is there.
        self.wake_driver();
        left
    }
}
