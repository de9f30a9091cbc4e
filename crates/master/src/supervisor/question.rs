//! Whether a loop still turns that no request tells about: its worker is asked for a beat.
//!
//! A loop that has nothing to do sleeps and notes nothing, so a beat that is old may mean both. What blocks it may be
//! no request at all: the task of a client that left, a background task, a WebSocket. So a worker that has connections,
//! though idle ones, is woken once in each half of the timeout. One that has none, and no client waiting, is not asked.

use ferricorn_unix::scoreboard::Snapshot;

use super::Millis;
use super::children::Child;

/// What a worker was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// When. Its loop may have been blocked for longer, or may have slept till then: only the time since counts.
    pub(super) at: Millis,
    /// The beat and the number of answered requests at that time.
    before: (Millis, u64),
}

impl Question {
    pub(super) fn put(seen: &Snapshot, now: Millis) -> Self {
        Self { at: now, before: signs(seen) }
    }

    /// Whether there was no sign of life since.
    pub(super) fn is_open(&self, seen: &Snapshot) -> bool {
        !is_judged_by_call(seen) && self.before == signs(seen)
    }
}

impl Child {
    /// Whether it is to be asked: it has clients, or calls, or some wait to be accepted (`clients`), and its beat is older
    /// than half of the timeout. Time before `resumed` does not count.
    pub(super) fn wants_question(
        &self,
        seen: &Snapshot,
        clients: bool,
        resumed: Millis,
        now: Millis,
        timeout: Millis,
    ) -> bool {
        let wanted = clients || seen.connections > 0 || !seen.calls.is_empty();
        let since = seen.beat_ms.max(self.running_since).max(resumed);
        self.question.is_none() && wanted && !is_judged_by_call(seen) && now >= since + timeout / 2
    }
}

/// Whether a call of the app is running that is judged by itself. Of several app threads one may be in a call for as long
/// as it likes, and the loop has to turn meanwhile.
fn is_judged_by_call(seen: &Snapshot) -> bool {
    !seen.calls.is_empty() && !seen.has_several_threads()
}

fn signs(seen: &Snapshot) -> (Millis, u64) {
    (seen.beat_ms, seen.requests)
}
