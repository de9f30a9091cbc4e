//! How requests and times read in log lines.

use ferricorn_unix::scoreboard::{InFlight, Snapshot};

use super::{Millis, Oom};

/// How many requests one line names.
const NAMED: usize = 5;
/// A kill so long ago is likely the reason for an end.
const JUST: Millis = 1_500;

/// `31.2 s`.
pub(crate) fn duration(millis: Millis) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

/// The end of a process by SIGKILL, in gunicorn's words where nothing else is known.
pub(super) fn sigkill(oom: Option<Oom>) -> String {
    let why = match oom {
        None => "Perhaps out of memory?".to_owned(),
        Some(Oom::Spared) => "Not by the kernel's OOM killer, says its cgroup".to_owned(),
        Some(Oom::Struck { within: ..=JUST }) => {
            "Out of memory, it seems: the kernel's OOM killer has struck in its cgroup".to_owned()
        }
        Some(Oom::Struck { within }) => format!(
            "Perhaps out of memory: the kernel's OOM killer has struck in its cgroup within the last {}",
            duration(within)
        ),
    };
    format!("was sent SIGKILL! {why}")
}

/// `GET /slow (31.2 s)`.
fn request(request: &InFlight, now: Millis) -> String {
    format!("{} {} ({})", request.method, request.path, duration(now.saturating_sub(request.since_ms)))
}

/// The requests that a worker was about, the oldest first.
pub(super) fn in_flight(seen: &Snapshot, now: Millis) -> String {
    let named: Vec<String> = seen.in_flight.iter().take(NAMED).map(|one| request(one, now)).collect();
    let more = seen.in_flight.len().saturating_sub(NAMED) + seen.more_in_flight;
    let told = match (named.is_empty(), more) {
        (true, 0) => "no request was in flight".to_owned(),
        (true, more) => format!("{more} requests were in flight"),
        (false, 0) => format!("in flight: {}", named.join(", ")),
        (false, more) => format!("in flight: {} and {more} more", named.join(", ")),
    };
    // Their clients were answered in the app's place.
    let calls = seen.calls.iter().filter_map(|call| call.request.as_ref());
    let late = calls.filter(|request| !seen.in_flight.contains(request)).take(NAMED);
    let late: Vec<String> = late.map(|one| request(one, now)).collect();
    if late.is_empty() { told } else { format!("{told}, but calls go on: {}", late.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::Oom;
    use super::{duration, in_flight, sigkill};
    use ferricorn_unix::scoreboard::{Call, InFlight, Snapshot};

    #[test]
    fn requests_are_named_with_their_age_and_a_long_list_is_cut() {
        assert_eq!(duration(31_290), "31.2 s");
        let mut seen = Snapshot::default();
        assert_eq!(in_flight(&seen, 0), "no request was in flight");
        let one = InFlight { since_ms: 1_000, method: "GET".to_owned(), path: "/slow".to_owned() };
        seen.in_flight = vec![one.clone()];
        assert_eq!(in_flight(&seen, 3_500), "in flight: GET /slow (2.5 s)");
        seen.in_flight = vec![one; 7];
        seen.more_in_flight = 2;
        assert!(in_flight(&seen, 3_500).ends_with("GET /slow (2.5 s) and 4 more"));
    }

    #[test]
    fn the_oom_killer_is_blamed_as_far_as_is_known() {
        let said = |oom, words: &str| assert!(sigkill(oom).ends_with(words), "{}", sigkill(oom));
        said(None, "SIGKILL! Perhaps out of memory?");
        said(Some(Oom::Spared), "SIGKILL! Not by the kernel's OOM killer, says its cgroup");
        said(
            Some(Oom::Struck { within: 1_000 }),
            "Out of memory, it seems: the kernel's OOM killer has struck in its cgroup",
        );
        said(
            Some(Oom::Struck { within: 2_500 }),
            "Perhaps out of memory: the kernel's OOM killer has struck in its cgroup within the last 2.5 s",
        );
    }

    #[test]
    fn a_call_that_outlives_its_request_is_named() {
        let one = InFlight { since_ms: 1_000, method: "GET".to_owned(), path: "/slow".to_owned() };
        let call = Call { since_ms: 1_000, request: Some(one.clone()) };
        let mut seen = Snapshot { calls: vec![call], in_flight: vec![one], ..Snapshot::default() };
        assert_eq!(in_flight(&seen, 3_500), "in flight: GET /slow (2.5 s)");
        seen.in_flight.clear();
        assert_eq!(in_flight(&seen, 3_500), "no request was in flight, but calls go on: GET /slow (2.5 s)");
    }
}
