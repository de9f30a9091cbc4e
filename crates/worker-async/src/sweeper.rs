//! Deadlines: one coarse look at all connections, in place of a timer for each.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferricorn_config::Settings;
use ferricorn_protocol::App;
use ferricorn_unix::clock;

use crate::connections::{Entry, TICK};
use crate::gate::{Phase, Shared};
use crate::timer::sleep_until;
use crate::worker::Worker;

/// How many ticks a connection has for its first byte, or for a whole head, before it may have to make room.
const FRESH: u32 = 4;

/// For how many ticks a socket may go unread before its client is looked for.
const DEAF: u32 = 2;

/// The least time between two words that the loop turns.
const LEAST_BEAT: Duration = Duration::from_millis(50);

/// Deadlines in ticks.
struct Deadlines {
    keepalive: u32,
    head: u32,
    body: u32,
    /// Bytes per second that a body must bring, over spans of `body`.
    body_rate: u64,
    write: u32,
    /// Whether a client that leaves ends its request.
    seeks: bool,
}

impl Deadlines {
    fn of(settings: &Settings, app: &dyn App) -> Self {
        // An app that streams may let its clients take their time, and itself too.
        let body_rate = if app.drive().blocks() { settings.deadlines.body_rate } else { 0 };
        Self {
            keepalive: ticks(settings.keepalive),
            head: ticks(settings.deadlines.head),
            body: ticks(settings.deadlines.body),
            body_rate,
            write: ticks(settings.deadlines.write),
            seeks: app.converses(),
        }
    }
}

/// What the sweeper saw of a connection when it last looked: a state, and since which tick it lasts.
#[derive(Default)]
pub(crate) struct Watch {
    phase: Lasting,
    write: Lasting,
    body: Flow,
    /// The mark of the wait that the connection was asked to end.
    gave_way: u32,
    /// The mark of the wait during which the connection was told to rest.
    rests: u32,
}

#[derive(Default)]
struct Lasting {
    mark: u32,
    since: u32,
}

impl Lasting {
    /// At which look the state with this mark was first seen; now, if it was not seen yet.
    fn since(&self, mark: u32, now: u32) -> u32 {
        if self.mark == mark { self.since } else { now }
    }

    /// For how many ticks the state with this mark has lasted.
    fn age(&mut self, mark: u32, now: u32) -> u32 {
        if self.mark != mark {
            *self = Self { mark, since: now };
        }
        now - self.since
    }
}

/// What has come of a body.
#[derive(Default)]
struct Flow {
    /// The body, by the number of its request; 0 if none was expected at the last look.
    request: u64,
    since: u32,
    bytes: u64,
}

impl Flow {
    /// Whether less than `rate` bytes per second have come in a span of more than `span` ticks.
    fn is_slow(&mut self, request: u64, bytes: u64, now: u32, span: u32, rate: u64) -> bool {
        let same = self.request == request;
        let passed = now.saturating_sub(self.since);
        if same && passed <= span {
            return false;
        }
        // The time that passed counts, which is longer than the span: a rate just below the least is too low.
        let slow = same && bytes.saturating_sub(self.bytes) < bytes_in(passed, rate);
        *self = Self { request, since: now, bytes };
        slow
    }

    /// Since which look neither bytes nor a request have come.
    fn stands_since(&mut self, request: u64, bytes: u64, now: u32) -> u32 {
        if (self.request, self.bytes) != (request, bytes) {
            *self = Self { request, since: now, bytes };
        }
        self.since
    }
}

/// Sweeps as long as there are connections with a deadline. In between, and without any, it makes no wake-up.
pub(crate) async fn run(worker: Arc<Worker>) {
    let deadlines = Deadlines::of(&worker.settings, &*worker.app);
    let (connections, doze) = (&worker.connections, &worker.doze);
    loop {
        connections.until(|open| open > 0).await;
        doze.lie_down();
        let mut look = Look { now: connections.look(), next: None };
        connections.for_each(|entry| sweep(entry, &mut look, &deadlines));
        if look.next == Some(look.now + 1) {
            doze.get_up();
        }
        let next = look.next.map(|next| connections.due(next));
        let wake = next.into_iter().chain(beat(&worker)).min();
        let stirred = tokio::select! {
            biased;
            () = doze.stirred() => true,
            () = until(wake) => false,
        };
        if stirred {
            sleep_until(connections.due(connections.look() + 1)).await;
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Tells that the loop turns, and when that must be told again: a loop that waits for what its requests wait for is
/// not one that is blocked. Nor is one that carries only long streams, and may never park.
fn beat(worker: &Worker) -> Option<Instant> {
    let timeout = worker.settings.timeout.filter(|_| worker.slot.is_busy())?;
    worker.slot.beat(clock::coarse_ms());
    Some(Instant::now() + (timeout / 4).max(LEAST_BEAT))
}

/// One look at all connections.
struct Look {
    /// Its number.
    now: u32,
    /// The number of the next one, unless something changes before.
    next: Option<u32>,
}

impl Look {
    /// Whether what began at the look `since` has lasted for more than so many ticks. If not, somebody must look again
    /// when it has; and also if it has, since what is done about it may come too late.
    fn is_over(&mut self, since: u32, ticks: u32) -> bool {
        let over = since.saturating_add(ticks).saturating_add(1);
        let at = over.max(self.now + 1);
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
        self.now >= over
    }
}

fn sweep(entry: &mut Entry, look: &mut Look, deadlines: &Deadlines) {
    let Entry { gate, abort, watch } = entry;
    let now = look.now;
    if let Some(mark) = gate.write_blocked() {
        if watch.write.age(mark, now) > deadlines.write {
            tracing::debug!("A client stopped reading its response; closing its connection");
            if let Some(abort) = abort {
                abort.abort();
            }
            return;
        }
        // Whether it reads shows only in the kernel's queue.
        look.is_over(now, 0);
        gate.look_at_queue();
    }
    let (phase, mark) = phase(gate);
    let age = watch.phase.age(mark, now);
    let since = now - age;
    let (request, bytes) = (gate.last_request(), gate.bytes_received());
    if deadlines.seeks && matches!(phase, Phase::Deaf | Phase::Body) {
        let stands = watch.body.stands_since(request, bytes, now);
        if look.is_over(since.max(stands), DEAF) {
            gate.seek();
        }
    } else if phase != Phase::Body {
        watch.body.request = 0;
    }
    match phase {
        Phase::App | Phase::Deaf => {}
        Phase::Fresh | Phase::Head => {
            if look.is_over(since, deadlines.head) {
                gate.expire();
            }
        }
        Phase::Idle => {
            if look.is_over(since, deadlines.keepalive) {
                gate.fin();
            } else if watch.rests != mark && look.is_over(since, 0) {
                watch.rests = mark;
                gate.rest();
            }
        }
        Phase::Body => {
            // It is judged at the end of its span, and so looked at then.
            let slow = deadlines.body_rate > 0
                && (watch.body.is_slow(request, bytes, now, deadlines.body, deadlines.body_rate)
                    || look.is_over(watch.body.since, deadlines.body));
            if look.is_over(since, deadlines.body) || slow {
                gate.fail_body();
            }
        }
    }
}

impl Entry {
    /// How the connection ranks among those that wait for a request: the idle ones come before those that owe the
    /// rest of a head, and among each the longest first. `None` if it does not wait, or was asked to give way
    /// already. Within one look they rank by their last requests.
    pub(crate) fn idle(&self, now: u32) -> Option<(bool, u32, u64)> {
        let (phase, mark) = phase(&self.gate);
        let since = self.watch.phase.since(mark, now);
        let waits = match phase {
            Phase::Idle => true,
            Phase::Fresh | Phase::Head => now - since > FRESH,
            Phase::Body | Phase::App | Phase::Deaf => false,
        };
        let ranks = waits && self.watch.gave_way != mark;
        ranks.then(|| (phase == Phase::Head, since, self.gate.last_request()))
    }

    /// Asks the connection to end, if it still waits for a request, or for the rest of one's head, when it hears
    /// of it.
    pub(crate) fn give_way(&mut self) {
        let (phase, mark) = phase(&self.gate);
        self.watch.gave_way = mark;
        if phase == Phase::Head { self.gate.expire_at_once() } else { self.gate.give_way() }
    }
}

/// The phase and its mark. Turns count from zero, as an unused watch does.
fn phase(gate: &Shared) -> (Phase, u32) {
    let (phase, turn) = gate.phase();
    (phase, turn.wrapping_add(1))
}

/// What so many bytes per second make in so many ticks.
fn bytes_in(ticks: u32, rate: u64) -> u64 {
    rate.saturating_mul(u64::from(ticks) * TICK.as_millis() as u64) / 1000
}

/// A duration in ticks, rounded up.
fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a body that brings so many bytes in each tick is ever slow, at a span of four ticks, which is two
    /// seconds, and 1,000 bytes per second.
    fn is_ever_slow(bytes_per_tick: u64) -> bool {
        let mut flow = Flow::default();
        (1..50).any(|now| flow.is_slow(7, u64::from(now) * bytes_per_tick, now, 4, 1000))
    }

    #[test]
    fn a_body_is_held_to_its_rate_over_the_time_that_passed() {
        assert!(!is_ever_slow(500));
        assert!(is_ever_slow(499));
        assert!(is_ever_slow(400));
    }

    #[test]
    fn a_body_is_not_judged_before_its_span_has_passed_nor_by_another_bodys_bytes() {
        let mut flow = Flow::default();
        assert!(!flow.is_slow(7, 100, 1, 4, 1000));
        assert!(!flow.is_slow(7, 100, 5, 4, 1000));
        assert!(!flow.is_slow(8, 100, 6, 4, 1000));
        assert!(!flow.is_slow(8, 100, 10, 4, 1000));
        assert!(flow.is_slow(8, 100, 11, 4, 1000));
    }
}
