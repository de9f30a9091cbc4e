//! Asks for fast pages and, one time in twenty, for one that is slow, whether or not earlier answers have come.
//!
//! `mix PORT RATE SECONDS`: RATE requests a second, evenly; a slow one asks for `/slow`. Each goes out on a connection
//! that waits for nothing, or on a new one. The one line at the end is that of `rig/wrk.lua`, its median and 99th
//! percentile being those of the fast pages alone.

#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use load::{Client, Fault, report};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections that wait for nothing, the one that was used last at the end.
type Idle = Arc<Mutex<Vec<Client>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, rate, seconds] = words.as_slice() else {
        return Err("usage: mix PORT RATE SECONDS".into());
    };
    let (port, rate, seconds) = (port.parse()?, rate.parse::<u32>()?, seconds.parse::<u32>()?);
    let idle = Idle::default();
    let mut clock = interval(Duration::from_secs(1) / rate);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut dice, mut work) = (Dice(1), JoinSet::new());
    let begin = Instant::now();
    for _ in 0..rate * seconds {
        clock.tick().await;
        work.spawn(one(port, dice.falls_on_slow(), idle.clone()));
    }
    let (mut fast, mut answers, mut failed, mut bytes) = (Vec::new(), 0, 0, 0);
    while let Some(done) = work.join_next().await {
        match done? {
            Ok((slow, time, received)) => {
                answers += 1;
                bytes += received;
                fast.extend((!slow).then_some(time));
            }
            Err(_) => failed += 1,
        }
    }
    report(answers, begin.elapsed(), &mut fast, failed, bytes)
}

/// One request: whether it is slow, how long its answer took, and how many bytes came.
async fn one(port: u16, slow: bool, idle: Idle) -> Result<(bool, Duration, usize), Fault> {
    let begin = Instant::now();
    let path = if slow { "/slow" } else { "/" };
    let kept = lock(&idle).pop();
    let is_kept = kept.is_some();
    let mut client = match kept {
        Some(client) => client,
        None => Client::connect(port).await?,
    };
    let mut answer = timeout(PATIENCE, client.ask(path)).await?;
    // The server may have ended a connection that it kept idle.
    if answer.is_err() && is_kept && client.is_silent() {
        client = Client::connect(port).await?;
        answer = timeout(PATIENCE, client.ask(path)).await?;
    }
    let received = answer?;
    if client.open {
        lock(&idle).push(client);
    }
    Ok((slow, begin.elapsed(), received))
}

fn lock(idle: &Idle) -> std::sync::MutexGuard<'_, Vec<Client>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same sequence for every server (a linear congruential generator, Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn falls_on_slow(&mut self) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(20)
    }
}
