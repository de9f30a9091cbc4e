//! The delay between TERM and the stop (`--drain-delay`), in which clients are still accepted.

use ferricorn_config::LogLevel;
use ferricorn_protocol::ExitCode;
use ferricorn_unix::control::Order;

use super::{Action, Millis, Supervisor, words};

impl Supervisor {
    /// Stops after the delay; at once if there is none, or if one is running already.
    pub(super) fn delay_or_stop(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let delay = self.policy.drain_delay;
        let serves = self.children.iter().any(|child| child.is_ready());
        if delay == 0 || self.stop_at.is_some() || self.is_stopping() || !serves {
            return self.stop(false, ExitCode::OK, None, now, actions);
        }
        self.stop_at = Some(now + delay);
        let line = format!(
            "Accepting clients for another {}, closing each connection after its response (--drain-delay); TERM again ends \
             the server now",
            words::duration(delay)
        );
        actions.push(Action::Say(LogLevel::Info, line));
        let close = |age| Action::Order { age, order: Order::Close };
        actions.extend(self.children.iter().filter(|child| child.is_ready()).map(|child| close(child.age)));
    }

    /// Begins the stop if its delay is over.
    pub(super) fn end_delay(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.delay_ends().is_some_and(|end| now >= end) {
            self.stop(false, ExitCode::OK, None, now, actions);
        }
    }

    /// When the delay is over that is running.
    pub(super) fn delay_ends(&self) -> Option<Millis> {
        self.stop_at.filter(|_| !self.is_stopping())
    }
}
