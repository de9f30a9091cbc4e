//! What the connections of one worker share.

use std::sync::Arc;

use ferricorn_config::Settings;
use ferricorn_protocol::{App, AppThread, Attended, ExitCode};
use ferricorn_telemetry::AccessLog;
use ferricorn_unix::scoreboard::{Slot, Ticket};
use ferricorn_unix::{clock, title};
use http::HeaderValue;
use http::request::Parts;
use tokio_util::task::TaskTracker;

use crate::complaints::Complaints;
use crate::connections::Connections;
use crate::door::Doors;
use crate::doze::Doze;
use crate::driver::Spawner;
use crate::gate::HeadRules;
use crate::inbound::BodyMemory;
use crate::job::Job;
use crate::lifecycle::Lifecycle;
use crate::seat;
use crate::tie::Ties;
use crate::websocket::Pulse;

/// See the module's first line.
pub(crate) struct Worker {
    pub(crate) settings: Settings,
    pub(crate) rules: HeadRules,
    pub(crate) app: Arc<dyn App>,
    /// The `Server` header of responses.
    pub(crate) server: Option<HeaderValue>,
    pub(crate) seat: Arc<seat::Shared<Job>>,
    pub(crate) spawner: Spawner,
    pub(crate) slot: Slot,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    /// Whether the access log tells how long requests wait for an app thread.
    pub(crate) tells_queue: bool,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) body_memory: BodyMemory,
    pub(crate) complaints: Complaints,
    /// The tasks that accept; they end when the drain begins.
    pub(crate) acceptors: TaskTracker,
    pub(crate) connections: Connections,
    pub(crate) doors: Arc<Doors>,
    pub(crate) doze: Arc<Doze>,
    /// The responses that keep app threads.
    pub(crate) ties: Ties,
    /// The open WebSockets.
    pub(crate) pulse: Pulse,
}

impl Worker {
    /// Has `ps` show what the worker is about, if it shows what it was about before and not what the app wants it to show.
    pub(crate) fn show(&self, before: &str, now: &str) {
        let title = |about| title::of_worker(&self.settings.proc_name, about);
        title::replace(&title(before), &title(now));
    }

    /// Enters a request into the scoreboard's table of requests in flight.
    pub(crate) fn request_begins(&self, head: &Parts) -> Ticket {
        self.slot.request_begin(clock::coarse_ms(), head.method.as_str(), head.uri.path().as_bytes())
    }

    /// Whether each connection ends with its next response.
    pub(crate) fn ends_connections(&self) -> bool {
        self.lifecycle.closes() || self.connections.crowded() || self.settings.keepalive.is_zero()
    }

    /// Runs steps of the app on this app thread. Until it is let in, the scoreboard shows since when it waits.
    pub(crate) fn enter_app(&self, steps: &mut dyn FnMut()) {
        // A single app thread has nobody to wait for but threads of the app's own.
        if self.settings.threads == 1 {
            return self.app.around_calls(steps);
        }
        let lane = AppThread::current().0;
        self.slot.entry_begin(lane, clock::coarse_ms());
        self.app.around_calls(&mut || {
            self.slot.entry_end(lane);
            steps();
        });
    }

    /// Runs a step of the app; meanwhile the scoreboard shows since when it runs, and for which request.
    pub(crate) fn timed<T>(&self, ticket: Option<Ticket>, step: impl FnOnce() -> T) -> T {
        let lane = AppThread::current().0;
        self.slot.call_begin(lane, clock::coarse_ms(), ticket);
        let result = step();
        self.slot.call_end(lane);
        result
    }
}

/// The worker as hooks have it.
pub(crate) struct Attendant(pub(crate) Arc<Worker>);

impl Attended for Attendant {
    fn requests(&self) -> u64 {
        self.0.lifecycle.requests()
    }

    fn is_alive(&self) -> bool {
        !self.0.lifecycle.draining()
    }

    fn leave(&self) {
        if self.is_alive() {
            self.0.lifecycle.leave(ExitCode::OK);
        }
    }
}
