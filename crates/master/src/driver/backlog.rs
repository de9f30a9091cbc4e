//! Tells statsd how many clients wait in the backlogs (gunicorn's `enable_backlog_metric`).

use ferricorn_telemetry::error_log;
use ferricorn_unix::clock;

use super::Driver;
use crate::supervisor::Millis;

/// How often it is told: as often as gunicorn's master wakes up.
const PERIOD: Millis = 1000;

impl Driver<'_> {
    /// When it is to be told next, if it is.
    pub(super) fn backlog_deadline(&self) -> Option<Millis> {
        self.measures_backlog().then_some(self.backlog_due)
    }

    /// Tells it if it is time to.
    pub(super) fn tell_backlog(&mut self) {
        let now = clock::now_ms();
        if now < self.backlog_due || !self.measures_backlog() {
            return;
        }
        self.backlog_due = now + PERIOD;
        let Some(current) = self.generations.get(&self.supervisor.generations().0) else { return };
        let (mut sum, mut known) = (0_u64, false);
        for listener in current.sockets.listeners() {
            match listener.waiting() {
                Ok(Some(clients)) => (sum, known) = (sum + u64::from(clients), true),
                Ok(None) => {}
                Err(error) => tracing::debug!("The backlog of {listener} cannot be seen: {error}"),
            }
        }
        if known {
            tracing::debug!("socket backlog: {sum}");
            if let Some(log) = error_log::installed() {
                log.metric("gunicorn.backlog", &format!("{sum}|h"));
            }
        }
    }

    fn measures_backlog(&self) -> bool {
        let current = self.generations.get(&self.supervisor.generations().0);
        current.is_some_and(|current| current.settings.logs.backlog && !current.sockets.is_empty())
    }
}
