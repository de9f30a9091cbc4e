//! Many clients at once, each of which asks for a page that is slow: how long until the last has its answer.
//!
//! `crowd PORT CLIENTS`: all connect, ask for `/slow`, and wait. The one line at the end is that of `rig/wrk.lua`, its microseconds
//! being those from the first connection to the last answer.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use load::{Client, Fault, report};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, clients] = words.as_slice() else {
        return Err("usage: crowd PORT CLIENTS".into());
    };
    let (port, clients) = (port.parse()?, clients.parse::<usize>()?);
    let begin = Instant::now();
    let mut work = JoinSet::new();
    for _ in 0..clients {
        work.spawn(async move { timeout(PATIENCE, one(port)).await? });
    }
    let (mut times, mut failed, mut bytes) = (Vec::new(), 0, 0);
    while let Some(done) = work.join_next().await {
        match done? {
            Ok((time, received)) => {
                times.push(time);
                bytes += received;
            }
            Err(_) => failed += 1,
        }
    }
    report(times.len(), begin.elapsed(), &mut times, failed, bytes)
}

async fn one(port: u16) -> Result<(Duration, usize), Fault> {
    let begin = Instant::now();
    let received = Client::connect(port).await?.ask("/slow").await?;
    Ok((begin.elapsed(), received))
}
