//! Deadlines: one coarse look at all connections, in place of a timer for each.

use std::sync::Arc;
use std::time::Duration;

use ferricorn_config::Settings;
use ferricorn_unix::clock;

use crate::connections::Entry;
use crate::gate::Phase;
use crate::worker::Worker;

/// The time between two looks: what deadlines are rounded up to.
const TICK: Duration = Duration::from_millis(500);

/// Deadlines in ticks.
struct Deadlines {
    keepalive: u32,
    head: u32,
    body: u32,
    write: u32,
}

impl Deadlines {
    fn of(settings: &Settings) -> Self {
        Self {
            keepalive: ticks(settings.keepalive),
            head: ticks(settings.deadlines.head),
            body: ticks(settings.deadlines.body),
            write: ticks(settings.deadlines.write),
        }
    }
}

/// What the sweeper saw of a connection when it last looked: a state, and since which tick it lasts.
#[derive(Default)]
pub(crate) struct Watch {
    phase: Lasting,
    write: Lasting,
}

#[derive(Default)]
struct Lasting {
    mark: u32,
    since: u32,
}

impl Lasting {
    /// For how many ticks the state with this mark has lasted.
    fn age(&mut self, mark: u32, now: u32) -> u32 {
        if self.mark != mark {
            *self = Self { mark, since: now };
        }
        now - self.since
    }
}

/// Sweeps as long as there are connections; a worker without any makes no wake-up.
pub(crate) async fn run(worker: Arc<Worker>) {
    let deadlines = Deadlines::of(&worker.settings);
    let mut now = 0;
    loop {
        worker.connections.until(|open| open > 0).await;
        tokio::time::sleep(TICK).await;
        now += 1;
        // A loop that carries only long streams may never park, and so never tell that it turns.
        worker.slot.beat(clock::coarse_ms());
        worker.connections.for_each(|entry| sweep(entry, now, &deadlines));
    }
}

fn sweep(entry: &mut Entry, now: u32, deadlines: &Deadlines) {
    let gate = &entry.gate;
    let stalled = gate.write_blocked().map_or(0, |mark| entry.watch.write.age(mark, now));
    if stalled > deadlines.write {
        tracing::debug!("A client stopped reading its response; closing its connection");
        if let Some(abort) = &entry.abort {
            abort.abort();
        }
        return;
    }
    let (phase, turn) = gate.phase();
    // Turns count from zero, as an unused watch does.
    let age = entry.watch.phase.age(turn.wrapping_add(1), now);
    match phase {
        Phase::Fresh | Phase::Head if age > deadlines.head => gate.expire(),
        Phase::Idle if age > deadlines.keepalive => gate.fin(),
        Phase::Idle if age == 1 => gate.rest(),
        Phase::Body if age > deadlines.body => gate.fail_body(),
        _ => {}
    }
}

/// A duration in ticks, rounded up.
fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX)
}
