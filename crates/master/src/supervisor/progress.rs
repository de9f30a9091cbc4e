//! Whether workers make progress, and what becomes of one that does not.
//!
//! It is asked for its stack, looked at once more, sent SIGABRT, and if that does not end the call, SIGKILL. A
//! worker that made progress in the meantime is left alone; one that does so at SIGABRT may finish what else it has.

use ferricorn_config::LogLevel;
use ferricorn_unix::control::Order;
use ferricorn_unix::scoreboard::{Call, Snapshot, State};
use ferricorn_unix::signal::Kill;

use super::children::{Child, Life};
use super::question::Question;
use super::{Action, MARGIN, Millis, Supervisor, words};

/// How often the scoreboard is read, unless the timeout is so short that it must be more often.
const LOOK_EVERY: Millis = 1_000;
/// A pause between two looks that says that the master itself did not run (SIGSTOP, a frozen container).
const PAUSE: Millis = 5_000;
/// How long a worker may take to write its stack.
pub(super) const STACK: Millis = 500;
/// How long its call may take to end at SIGABRT, and how often it is looked at from then on.
const ABORT: Millis = 1_000;

/// A worker that made no progress, and is being asked for its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stuck {
    evidence: Evidence,
    /// When it is looked at again.
    pub(super) until: Millis,
}

/// What shows that there is no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// The one app thread is in the call that began at this time.
    Call(Millis),
    /// So many app threads, which is all of them, are in calls that began at this time or before.
    Calls(usize, Millis),
    /// An app thread with a call waits since this time to enter the app.
    Entry(Millis),
    /// Requests are in flight, the loop last turned at this time, and so many requests had been answered.
    Beat(Millis, u64),
    /// It has been asked for a beat, and has given none.
    Silence(Question),
}

impl Supervisor {
    /// When the scoreboard is to be read for the timeout.
    pub(super) fn next_look(&self) -> Option<Millis> {
        let timeout = self.policy.timeout?;
        let watched = self.children.iter().any(|child| child.life == Life::Ready);
        watched.then(|| self.last_look + (timeout / 4).clamp(1, LOOK_EVERY))
    }

    pub(super) fn look_is_due(&mut self, now: Millis) -> bool {
        let overdue = |child: &Child| match child.life {
            Life::Leaving { deadline, .. } => now >= deadline,
            Life::Stuck(stuck) | Life::Aborted { stuck, .. } => now >= stuck.until,
            _ => false,
        };
        self.next_look().is_some_and(|due| now >= due) || self.children.iter().any(overdue)
    }

    /// What can be decided without a look: the end of a stopped worker.
    pub(super) fn end_overdue(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let timeout = self.policy.timeout;
        for child in self.children.iter_mut() {
            let pid = child.pid.unwrap_or_default();
            let frozen = child.frozen.filter(|_| child.is_serving()).zip(timeout);
            // Anything but SIGKILL would wait until it is continued.
            if let Some((since, _)) = frozen.filter(|(since, timeout)| now >= since + timeout) {
                actions.push(Action::Say(LogLevel::Critical, format!("WORKER TIMEOUT (pid:{pid})")));
                let time = words::duration(now - since);
                let line =
                    format!("Worker (pid:{pid}) has been stopped by a signal for {time} and is killed");
                actions.push(Action::Say(LogLevel::Critical, line));
                kill(child, now, actions);
            }
        }
    }

    pub(super) fn on_seen(
        &mut self,
        seen: &[(u64, Snapshot)],
        clients: bool,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        if now > self.last_look + PAUSE && self.next_look().is_some() {
            self.resumed = now;
        }
        self.last_look = now;
        if std::mem::take(&mut self.tells_cuts) {
            self.tell_cuts(seen, now, actions);
        }
        let (timeout, resumed, graceful) = (self.policy.timeout, self.resumed, self.policy.graceful);
        for (age, snapshot) in seen {
            let Some(child) = self.children.get_mut(*age) else { continue };
            match child.life {
                Life::Ready if child.frozen.is_none() => {
                    let Some(timeout) = timeout else { continue };
                    if let Some(evidence) = judge(child, snapshot, resumed, now, timeout) {
                        accuse(child, evidence, snapshot, now, actions);
                    } else if child.wants_question(snapshot, clients, resumed, now, timeout) {
                        child.question = Some(Question::put(snapshot, now));
                        actions.push(Action::Order { age: child.age, order: Order::Ask });
                    }
                }
                Life::Stuck(stuck) if now >= stuck.until => {
                    actions.push(Action::TellStack { age: child.age });
                    if still_holds(stuck.evidence, snapshot) {
                        let stuck = Stuck { until: now + ABORT, ..stuck };
                        child.life = Life::Aborted { stuck, deadline: now + graceful + MARGIN };
                        actions.push(Action::Order { age: child.age, order: Order::Abort });
                    } else {
                        child.life = Life::Ready;
                        let pid = child.pid.unwrap_or_default();
                        let line = format!("Worker (pid:{pid}) made progress after all and goes on");
                        actions.push(Action::Say(LogLevel::Warning, line));
                    }
                }
                Life::Aborted { stuck, deadline } if now >= stuck.until => {
                    let again =
                        timeout.and_then(|timeout| judge(child, snapshot, resumed, now, timeout)).is_some();
                    let what = match goes_on(stuck.evidence, snapshot) || again {
                        true => "did not end at SIGABRT".to_owned(),
                        false if now >= deadline => {
                            format!("did not leave within {} of SIGABRT", words::duration(graceful))
                        }
                        false => {
                            let stuck = Stuck { until: deadline.min(now + ABORT), ..stuck };
                            child.life = Life::Aborted { stuck, deadline };
                            continue;
                        }
                    };
                    give_up(child, &what, snapshot, now, actions);
                }
                Life::Leaving { since, deadline, heeded: Some(later) }
                    if now >= deadline && now < later && snapshot.state == State::Draining =>
                {
                    child.life = Life::Leaving { since, deadline: later, heeded: None };
                }
                Life::Leaving { since, deadline, .. } if now >= deadline => {
                    let what = match now - since {
                        waited if waited < graceful => format!(
                            "did not leave within {}, though hurried by a quick stop,",
                            words::duration(waited)
                        ),
                        _ => format!(
                            "did not leave within the graceful timeout ({})",
                            words::duration(graceful)
                        ),
                    };
                    give_up(child, &what, snapshot, now, actions);
                }
                _ => {}
            }
        }
    }
}

impl Supervisor {
    /// Says which requests a quick stop costs.
    fn tell_cuts(&self, seen: &[(u64, Snapshot)], now: Millis, actions: &mut Vec<Action>) {
        let busy = seen.iter().filter(|(_, snapshot)| !snapshot.in_flight.is_empty());
        for (child, snapshot) in busy.filter_map(|(age, seen)| Some((self.children.get(*age)?, seen))) {
            let pid = child.pid.unwrap_or_default();
            let line =
                format!("Worker (pid:{pid}) is told to end at once; {}", words::in_flight(snapshot, now));
            actions.push(Action::Say(LogLevel::Warning, line));
        }
    }
}

/// Kills a worker and says which requests that costs.
fn give_up(child: &mut Child, what: &str, seen: &Snapshot, now: Millis, actions: &mut Vec<Action>) {
    let pid = child.pid.unwrap_or_default();
    let line = format!("Worker (pid:{pid}) {what} and is killed; {}", words::in_flight(seen, now));
    actions.push(Action::Say(LogLevel::Error, line));
    kill(child, now, actions);
}

/// Sends SIGKILL.
pub(super) fn kill(child: &mut Child, now: Millis, actions: &mut Vec<Action>) {
    child.life = Life::Killed { since: now };
    actions.push(Action::Kill { age: child.age, kill: Kill::Kill });
}

/// Notes what a worker has answered, and looks for a lack of progress of which nobody but itself is the cause.
fn judge(
    child: &mut Child,
    seen: &Snapshot,
    resumed: Millis,
    now: Millis,
    timeout: Millis,
) -> Option<Evidence> {
    if child.answered.0 != seen.requests {
        child.answered = (seen.requests, now);
    }
    let since = resumed.max(child.running_since);
    child.question = child.question.filter(|question| question.is_open(seen));
    let silent = child.question.filter(|question| now >= question.at.max(since) + timeout);
    find(seen, since, child.answered.1, now, timeout).or(silent.map(Evidence::Silence))
}

/// Looks for a lack of progress that has lasted for the timeout. Time before `since` does not count; at `answered`
/// a request was answered.
fn find(seen: &Snapshot, since: Millis, answered: Millis, now: Millis, timeout: Millis) -> Option<Evidence> {
    let too_old = |start: Millis| now >= start.max(since) + timeout;
    if let Some(evidence) = find_calls(seen, too_old) {
        return Some(evidence);
    }
    // A loop that sleeps because there is nothing to do does not turn either; what counts is the time since a
    // request was there to turn for.
    let waiting_since = seen.in_flight.first().map(|request| request.since_ms)?;
    let beating = seen.beat_ms != 0;
    // A loop that is never without work may not note that it turns, but it answers.
    let turned = seen.beat_ms.max(waiting_since).max(answered);
    (beating && too_old(turned)).then_some(Evidence::Beat(seen.beat_ms, seen.requests))
}

/// One call that lasts is a lack of progress if there is one app thread. Of several, it takes all; or one that cannot
/// enter the app, because somebody keeps the interpreter.
fn find_calls(seen: &Snapshot, too_old: impl Fn(Millis) -> bool) -> Option<Evidence> {
    if !seen.has_several_threads() {
        return oldest_call(seen)
            .filter(|call| too_old(call.since_ms))
            .map(|call| Evidence::Call(call.since_ms));
    }
    if let Some(since) = seen.waits_ms.filter(|&since| too_old(since)) {
        return Some(Evidence::Entry(since));
    }
    let old = || seen.calls.iter().map(|call| call.since_ms).filter(|&since| too_old(since));
    let all = old().count() >= seen.threads as usize;
    old().max().filter(|_| all).map(|youngest| Evidence::Calls(seen.threads as usize, youngest))
}

fn still_holds(evidence: Evidence, seen: &Snapshot) -> bool {
    match evidence {
        Evidence::Call(since) => seen.calls.iter().any(|call| call.since_ms == since),
        Evidence::Calls(all, youngest) => {
            seen.calls.iter().filter(|call| call.since_ms <= youngest).count() >= all
        }
        Evidence::Entry(since) => seen.waits_ms == Some(since),
        Evidence::Beat(beat, answered) => {
            seen.beat_ms == beat && seen.requests == answered && !seen.in_flight.is_empty()
        }
        Evidence::Silence(question) => question.is_open(seen),
    }
}

/// Whether SIGABRT, which ends the call of the first app thread alone, has left something of it.
fn goes_on(evidence: Evidence, seen: &Snapshot) -> bool {
    match evidence {
        Evidence::Calls(_, youngest) => seen.calls.iter().any(|call| call.since_ms <= youngest),
        _ => still_holds(evidence, seen),
    }
}

fn oldest_call(seen: &Snapshot) -> Option<&Call> {
    seen.calls.iter().min_by_key(|call| call.since_ms)
}

fn accuse(child: &mut Child, evidence: Evidence, seen: &Snapshot, now: Millis, actions: &mut Vec<Action>) {
    let pid = child.pid.unwrap_or_default();
    let before = seen.requests;
    let time = |since: Millis| words::duration(now.saturating_sub(since));
    let line = match evidence {
        Evidence::Call(since) => match oldest_call(seen).and_then(|call| call.request.as_ref()) {
            Some(request) => format!(
                "{} {} has kept worker (pid:{pid}) busy for {}; it had answered {before} requests before",
                request.method,
                request.path,
                time(since),
            ),
            None => format!(
                "A call of the app has kept worker (pid:{pid}) busy for {}; it had answered {before} requests before",
                time(since),
            ),
        },
        Evidence::Calls(all, youngest) => format!(
            "All {all} app threads of worker (pid:{pid}) have been busy for {}; it had answered {before} requests \
             before; {}",
            time(youngest),
            words::in_flight(seen, now),
        ),
        Evidence::Entry(since) => format!(
            "Python has let no app thread of worker (pid:{pid}) in for {}: a thread keeps the GIL; it had answered \
             {before} requests before; {}",
            time(since),
            words::in_flight(seen, now),
        ),
        // A loop that sleeps notes nothing: what counts is the time since it had something to do.
        Evidence::Beat(beat, _) => still_loop(
            pid,
            seen.in_flight.first().map_or(beat, |request| request.since_ms.max(beat)),
            seen,
            now,
        ),
        Evidence::Silence(question) => still_loop(pid, question.at, seen, now),
    };
    actions.push(Action::Say(LogLevel::Critical, format!("WORKER TIMEOUT (pid:{pid})")));
    actions.push(Action::Say(LogLevel::Critical, line));
    actions.push(Action::Kill { age: child.age, kill: Kill::Stack });
    child.life = Life::Stuck(Stuck { evidence, until: now + STACK });
}

fn still_loop(pid: i32, since: Millis, seen: &Snapshot, now: Millis) -> String {
    format!(
        "The loop of worker (pid:{pid}) has not turned for {}; it had answered {} requests before; {}",
        words::duration(now.saturating_sub(since)),
        seen.requests,
        words::in_flight(seen, now),
    )
}
