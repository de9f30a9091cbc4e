//! When a worker stops: what was asked of it, and whether it drains.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use ferricorn_protocol::ExitCode;
use tokio::sync::Notify;

/// What is decided of a worker's life.
pub(crate) struct Lifecycle {
    /// Requests after which the worker is to be replaced.
    max_requests: Option<u64>,
    requests: AtomicU64,
    /// Whether there have been so many.
    spent: AtomicBool,
    /// Whether it has been ready to serve.
    ready: AtomicBool,
    draining: AtomicBool,
    /// Whether connections end with their next responses although the worker does not drain yet.
    closing: AtomicBool,
    /// Whether nobody accepts after this worker, because the whole server ends.
    last: AtomicBool,
    /// Whether the worker leaves of its own accord, so that the master does not know yet.
    own_accord: AtomicBool,
    /// Whether it is to end at once.
    quitting: AtomicBool,
    exit: AtomicU8,
    changed: Notify,
}

impl Lifecycle {
    pub(crate) fn new(max_requests: Option<u64>) -> Self {
        Self {
            max_requests,
            requests: AtomicU64::new(0),
            spent: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            last: AtomicBool::new(false),
            own_accord: AtomicBool::new(false),
            quitting: AtomicBool::new(false),
            exit: AtomicU8::new(ExitCode::OK.0),
            changed: Notify::new(),
        }
    }

    /// Counts a request, and gives its number in this worker's life. When there have been enough the worker serves on
    /// until its replacement is ready, and its master tells it to leave.
    pub(crate) fn count_request(&self) -> u64 {
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if self.max_requests == Some(count) && !self.draining() {
            // gunicorn's words.
            tracing::info!("Autorestarting worker after current request.");
            self.spent.store(true, Ordering::SeqCst);
            self.changed.notify_waiters();
        }
        count
    }

    /// How many requests were counted.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Lets each connection end with its next response, so that its client looks for another server.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether each connection ends with its next response.
    pub(crate) fn closes(&self) -> bool {
        self.closing.load(Ordering::Relaxed) || self.draining()
    }

    /// Whether the worker accepts no more clients and closes each connection after its response.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Begins to drain because the master said so, or is gone.
    pub(crate) fn drain(&self) {
        if !self.draining.swap(true, Ordering::SeqCst) {
            self.changed.notify_waiters();
        }
    }

    /// Begins to drain, and takes in everybody who waits in the kernel's queue: nobody else will.
    pub(crate) fn drain_last(&self) {
        self.last.store(true, Ordering::SeqCst);
        self.drain();
    }

    /// Begins to serve.
    pub(crate) fn serve(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    /// Leaves because the worker itself, or its app, is not fit to serve.
    pub(crate) fn fail(&self) {
        let ready = self.ready.load(Ordering::SeqCst);
        self.leave(if ready { ExitCode::FAILURE } else { ExitCode::BOOT_ERROR });
    }

    /// Ends at once: nothing that is in flight is waited for. False if that was so already.
    pub(crate) fn quit(&self) -> bool {
        let first = !self.quitting.swap(true, Ordering::SeqCst);
        self.drain();
        self.changed.notify_waiters();
        first
    }

    /// Whether nobody accepts after this worker.
    pub(crate) fn is_last(&self) -> bool {
        self.last.load(Ordering::SeqCst)
    }

    /// Begins to drain of the worker's own accord, and leaves with `code`.
    pub(crate) fn leave(&self, code: ExitCode) {
        self.exit.store(code.0, Ordering::SeqCst);
        self.own_accord.store(true, Ordering::SeqCst);
        self.drain();
    }

    /// Whether the worker leaves of its own accord.
    pub(crate) fn own_accord(&self) -> bool {
        self.own_accord.load(Ordering::SeqCst)
    }

    /// The status with which the worker will leave.
    pub(crate) fn exit(&self) -> ExitCode {
        ExitCode(self.exit.load(Ordering::SeqCst))
    }

    /// Whether the worker has served as many requests as it should.
    #[cfg(test)]
    pub(crate) fn spent(&self) -> bool {
        self.spent.load(Ordering::SeqCst)
    }

    /// Returns once the worker has served as many requests as it should.
    pub(crate) async fn spends(&self) {
        self.until(&self.spent).await;
    }

    /// Returns once the worker drains.
    pub(crate) async fn drains(&self) {
        self.until(&self.draining).await;
    }

    /// Returns once the worker is to end at once.
    pub(crate) async fn quits(&self) {
        self.until(&self.quitting).await;
    }

    async fn until(&self, flag: &AtomicBool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if flag.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }
}
