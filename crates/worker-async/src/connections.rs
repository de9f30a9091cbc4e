//! The connections that are open: how many, and what the sweeper must look at.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferricorn_unix::limits;
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::gate::Shared;
use crate::sweeper::Watch;
use crate::worker::Worker;

/// Descriptors that connections leave to the app, at the least.
const LEFT_TO_THE_APP: usize = 32;

/// One open connection.
pub(crate) struct Entry {
    pub(crate) gate: Arc<Shared>,
    /// Ends the connection's task, and so the connection, without an answer.
    pub(crate) abort: Option<AbortHandle>,
    pub(crate) watch: Watch,
}

/// The time between two looks of the sweeper: what deadlines are rounded up to.
pub(crate) const TICK: Duration = Duration::from_millis(500);

/// All open connections of a worker.
pub(crate) struct Connections {
    entries: Mutex<Slab<Entry>>,
    /// Notified when the number changes.
    changed: Notify,
    /// When the first look was due. Looks are numbered by the time, whether they are taken or not.
    epoch: Instant,
    /// Whether a client waits for a place that nobody has given up yet.
    crowded: AtomicBool,
}

/// Lowers the number of connections that a worker holds to what the limit of open files allows.
pub(crate) fn leave_descriptors(connections: &mut usize) {
    let Ok(files) = limits::open_files() else { return };
    let held = places(*connections, files);
    if held < *connections {
        tracing::warn!(
            "Only {files} files may be open, so this worker holds {held} connections at most and not {connections}. \
             Raise the limit of open files (`ulimit -n`, systemd's LimitNOFILE), or lower --worker-connections"
        );
        *connections = held;
    }
}

/// How many connections a process may hold that may have `files` files open, if it is to hold `wanted`: the app
/// needs descriptors too, and a tenth is left to it, but never less than 32.
fn places(wanted: usize, files: u64) -> usize {
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let left = files.saturating_sub((files / 10).max(LEFT_TO_THE_APP));
    wanted.min(left.max(1))
}

/// A connection's membership; it ends when this is dropped.
pub(crate) struct Member {
    worker: Arc<Worker>,
    key: usize,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self {
            entries: Mutex::default(),
            changed: Notify::new(),
            epoch: Instant::now(),
            crowded: AtomicBool::new(false),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Does something with every connection.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&mut Entry)) {
        for (_, entry) in self.lock().iter_mut() {
            look(entry);
        }
    }

    /// The number of the look that is due now.
    pub(crate) fn look(&self) -> u32 {
        u32::try_from(self.epoch.elapsed().as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
    }

    /// When a look is due.
    pub(crate) fn due(&self, look: u32) -> Instant {
        self.epoch + TICK * look
    }

    /// Asks the connection that has been idle longest to give up its place; if none is idle, the one that has
    /// owed the rest of a head longest. If there is none of those either, the next one that is answered will be
    /// idle.
    pub(crate) fn make_room(&self) {
        let now = self.look();
        let mut entries = self.lock();
        let idle = entries.iter_mut().filter_map(|(_, entry)| Some((entry.idle(now)?, entry)));
        match idle.min_by_key(|(rank, _)| *rank) {
            Some((_, entry)) => entry.give_way(),
            None => self.crowded.store(true, Relaxed),
        }
    }

    /// Says that there is room again.
    pub(crate) fn has_room(&self) {
        if self.crowded.load(Relaxed) {
            self.crowded.store(false, Relaxed);
        }
    }

    /// Whether connections should end with their next answer, because a client waits for a place.
    pub(crate) fn crowded(&self) -> bool {
        self.crowded.load(Relaxed)
    }

    /// Returns once `holds` is true of the number of connections.
    pub(crate) async fn until(&self, holds: impl Fn(usize) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(self.count()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Adds a connection to the worker's.
    pub(crate) fn enter(worker: &Arc<Worker>, gate: Arc<Shared>) -> Self {
        let connections = &worker.connections;
        let key = connections.lock().insert(Entry { gate, abort: None, watch: Watch::default() });
        worker.slot.connection_begin();
        worker.doze.stir();
        connections.changed.notify_waiters();
        Self { worker: worker.clone(), key }
    }

    /// Lets the sweeper end the connection's task.
    pub(crate) fn abort_with(worker: &Worker, key: usize, abort: AbortHandle) {
        if let Some(entry) = worker.connections.lock().get_mut(key) {
            entry.abort = Some(abort);
        }
    }

    /// The connection's place in the list; another's once this one has ended.
    pub(crate) fn key(&self) -> usize {
        self.key
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.worker.connections.lock().try_remove(self.key);
        self.worker.slot.connection_end();
        self.worker.connections.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn connections_leave_descriptors_to_the_app() {
        for (wanted, files, held) in [
            (1000, 1_048_576, 1000),
            (1000, 4096, 1000),
            (1000, 1024, 922),
            (1000, 64, 32),
            (10, 64, 10),
            (1000, 16, 1),
            (usize::MAX, u64::MAX, usize::MAX - usize::MAX / 10),
        ] {
            assert_eq!(places(wanted, files), held, "{wanted} wanted, {files} files");
        }
    }
}
