//! The error log's lines for requests that the app never saw, written only so often that no crowd fills the log.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ferricorn_telemetry::escape;
use ferricorn_unix::clock;

/// How many lines a worker writes in each [`PERIOD_MS`]. The access log has all of them.
const LINES: u32 = 10;
/// See [`LINES`].
const PERIOD_MS: u64 = 60_000;
/// How much of a request line is shown, in bytes.
const SHOWN: usize = 100;

/// What a worker has written lately of such requests.
#[derive(Default)]
pub(crate) struct Complaints {
    refused: Mutex<Period>,
    overdue: Mutex<Period>,
}

impl Complaints {
    /// Says that a request was refused, at gunicorn's level and in its words. `line` is what is known of the
    /// request line. Above [`LINES`] the record goes to level debug.
    pub(crate) fn tell(&self, peer: Option<IpAddr>, why: &str, line: &[u8]) {
        write(&self.refused, &Complaint { peer, why, line });
    }

    /// Says that a request waited for an app thread longer than `limit` and was answered with 503, as rarely.
    pub(crate) fn tell_overdue(&self, limit: Duration, request: &str) {
        let seconds = limit.as_secs_f64();
        let said = format_args!(
            "No app thread became free for {request} within {seconds} s (--queue-timeout); it is answered with 503. \
             More workers or threads would help, or a faster app"
        );
        write(&self.overdue, &said);
    }
}

fn write(period: &Mutex<Period>, complaint: &dyn Display) {
    let admitted = period.lock().unwrap_or_else(PoisonError::into_inner).admit(clock::coarse_ms());
    match admitted {
        Some(0) => tracing::warn!("{complaint}"),
        Some(more) => tracing::warn!("{complaint} (after {more} that only level debug shows)"),
        None => tracing::debug!("{complaint}"),
    }
}

/// One record. On a Unix socket there is no address, and gunicorn says none either.
struct Complaint<'a> {
    peer: Option<IpAddr>,
    why: &'a str,
    line: &'a [u8],
}

impl Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invalid request from ip=")?;
        if let Some(ip) = self.peer {
            write!(f, "{ip}")?;
        }
        write!(f, ": {}", self.why)?;
        match self.line.get(..SHOWN) {
            _ if self.line.is_empty() => Ok(()),
            Some(cut) => write!(f, ": \"{}\" and more", escape(cut)),
            None => write!(f, ": \"{}\"", escape(self.line)),
        }
    }
}

/// How many lines were written in the period that runs, and how many were not.
#[derive(Default)]
struct Period {
    since_ms: u64,
    lines: u32,
    left_out: u64,
}

impl Period {
    /// Whether one more line may be written, and how many were left out before it.
    fn admit(&mut self, now_ms: u64) -> Option<u64> {
        if self.lines == 0 || now_ms.saturating_sub(self.since_ms) >= PERIOD_MS {
            self.since_ms = now_ms;
            self.lines = 0;
        }
        if self.lines == LINES {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_few_lines_and_its_number() {
        let mut period = Period::default();
        let first: Vec<_> = (0..u64::from(LINES) + 5).map(|ms| period.admit(1000 + ms)).collect();
        assert_eq!(first.iter().flatten().count(), LINES as usize);
        assert_eq!(period.admit(1000 + PERIOD_MS - 1), None);
        assert_eq!(period.admit(1000 + PERIOD_MS), Some(6));
        assert_eq!(period.admit(1001 + PERIOD_MS), Some(0));
    }

    #[test]
    fn the_words_are_gunicorns_and_the_clients_bytes_are_escaped() {
        let peer = Some("192.0.2.7".parse().unwrap());
        let said = |peer, line: &[u8]| Complaint { peer, why: "it is wrong", line }.to_string();
        assert_eq!(said(peer, b""), "Invalid request from ip=192.0.2.7: it is wrong");
        assert_eq!(
            said(None, b"G\"ET\\ \x1b[2J\n\xe9\0"),
            r#"Invalid request from ip=: it is wrong: "G\"ET\x5C \x1B[2J\x0A\xE9\x00""#
        );
        let long = said(peer, &[b'x'; 5000]);
        assert!(long.ends_with("xxx\" and more") && long.len() < 200, "{long}");
    }
}
