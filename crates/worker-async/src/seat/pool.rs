//! The app threads of a worker and what waits for them: calls, who is free, and who is about to enter the app.
//!
//! Everything is guarded by one lock and decided here; whoever is named by an answer is woken after the lock is given
//! back.

use std::collections::VecDeque;
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::Work;

/// How long no further app thread is started after the system refused one.
const PAUSE: Duration = Duration::from_secs(5);

/// See the module's first line.
pub(super) struct Pool<W> {
    /// Calls that any app thread may run.
    open: VecDeque<W>,
    /// Calls that must run where what they belong to has run, by the number of the app thread.
    own: Vec<VecDeque<W>>,
    /// App threads that have nothing to do, the one that came last being the first to be called: its memory is warm.
    lobby: Vec<Guest>,
    /// An app thread has taken an open call and is about to enter the app, for which it may have to wait: an
    /// interpreter has room for one. Further ones would wait behind it, in no order, so they are not sent.
    door: bool,
    /// How many app threads were started.
    started: usize,
    /// One was asked for and has not come yet.
    hiring: bool,
    /// Until when none is started.
    pause: Option<Instant>,
    /// Threads that are to end before the worker does.
    pub(super) alive: usize,
}

/// An app thread in the lobby.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) number: usize,
    pub(super) thread: Thread,
}

/// Who must hear of a call that was put in.
pub(super) enum Put {
    /// Nobody: somebody has heard already.
    Nobody,
    /// Whoever drives.
    Driver,
    /// The app thread of this number, if it drives.
    DriverIf(usize),
    /// This thread.
    Guest(Thread),
}

/// Who is to run a call that waits, while the standby drives.
pub(super) enum Found {
    /// Nobody now; whoever comes back from a call will.
    Nobody,
    /// This thread, which has left the lobby.
    Guest(Thread),
    /// A new app thread with this number, which is counted already.
    New(usize),
}

impl<W: Work> Pool<W> {
    /// For at most so many app threads.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            open: VecDeque::new(),
            own: (0..threads.max(1)).map(|_| VecDeque::new()).collect(),
            lobby: Vec::new(),
            door: false,
            started: 1,
            hiring: false,
            pause: None,
            alive: 0,
        }
    }

    /// Queues a call.
    pub(super) fn put(&mut self, work: W) -> Put {
        let home = work.home().filter(|&home| home < self.own.len());
        let Some(home) = home else {
            self.open.push_back(work);
            return if self.open.len() == 1 { Put::Driver } else { Put::Nobody };
        };
        self.own[home].push_back(work);
        match self.leave_lobby(home) {
            Some(thread) => Put::Guest(thread),
            // Whoever turns the loop is that thread, or waits for it. The thread of a loop that is a guest is in no books.
            None if self.own.len() == 1 => Put::Driver,
            None => Put::DriverIf(home),
        }
    }

    /// Whether any call could be begun now.
    pub(super) fn is_open(&self) -> bool {
        !self.door && !self.open.is_empty()
    }

    /// Whether there are calls that this app thread alone may run.
    pub(super) fn has_own(&self, number: usize) -> bool {
        !self.own[number].is_empty()
    }

    /// A call that this app thread alone may run.
    pub(super) fn take_own(&mut self, number: usize) -> Option<W> {
        self.own[number].pop_front()
    }

    /// A call that any may run; not if an app thread is at the door.
    pub(super) fn take_open(&mut self) -> Option<W> {
        if self.door { None } else { self.open.pop_front() }
    }

    /// Sends whoever has just taken an open call to the door, if there are others who could come to it. True if so.
    pub(super) fn send_to_door(&mut self) -> bool {
        self.door = self.own.len() > 1;
        self.door
    }

    /// Says that it has entered. True if there are more calls.
    pub(super) fn enter(&mut self) -> bool {
        self.door = false;
        !self.open.is_empty()
    }

    /// Whether calls wait because somebody else is in the interpreter.
    pub(super) fn is_held_up(&self) -> bool {
        self.door && !self.open.is_empty()
    }

    pub(super) fn enter_lobby(&mut self, number: usize, thread: &Thread) {
        self.lobby.push(Guest { number, thread: thread.clone() });
    }

    /// Takes an app thread out of the lobby, if it is there.
    pub(super) fn leave_lobby(&mut self, number: usize) -> Option<Thread> {
        let at = self.lobby.iter().position(|guest| guest.number == number)?;
        Some(self.lobby.remove(at).thread)
    }

    /// Takes the app thread out of the lobby that came last, to drive; rather one of whom nothing else is expected.
    pub(super) fn call(&mut self, tied: impl Fn(usize) -> bool) -> Option<Thread> {
        let called = self.call_untied(tied).or_else(|| self.lobby.pop());
        called.map(|guest| guest.thread)
    }

    /// The same, but only one of whom nothing else is expected.
    pub(super) fn call_untied(&mut self, tied: impl Fn(usize) -> bool) -> Option<Guest> {
        let at = self.lobby.iter().rposition(|guest| !tied(guest.number))?;
        Some(self.lobby.remove(at))
    }

    /// Takes all out of the lobby.
    pub(super) fn call_all(&mut self) -> impl Iterator<Item = Thread> {
        std::mem::take(&mut self.lobby).into_iter().map(|guest| guest.thread)
    }

    /// How many app threads could begin a call, now or when they have been started, beside one that drives; `tied` tells
    /// which could not.
    pub(super) fn free(&self, tied: impl Fn(usize) -> bool) -> usize {
        let present = self.lobby.iter().filter(|guest| !tied(guest.number)).count();
        let others = if self.may_hire() { self.own.len() - self.started } else { 0 };
        present + others + usize::from(self.hiring)
    }

    /// How many calls wait that any app thread could begin.
    pub(super) fn waiting(&self) -> usize {
        self.open.len()
    }

    /// Whether nobody waits in the lobby.
    pub(super) fn is_lobby_empty(&self) -> bool {
        self.lobby.is_empty()
    }

    /// Finds somebody for the first open call. `tied` tells of whom something else is expected.
    pub(super) fn find(&mut self, tied: impl Fn(usize) -> bool) -> Found {
        if !self.is_open() {
            return Found::Nobody;
        }
        if let Some(guest) = self.call_untied(tied) {
            return Found::Guest(guest.thread);
        }
        if self.hiring || !self.may_hire() {
            return Found::Nobody;
        }
        self.hiring = true;
        self.started += 1;
        Found::New(self.started - 1)
    }

    /// Whether a further app thread may be started, or is on its way.
    pub(super) fn may_hire(&self) -> bool {
        self.hiring || self.started < self.own.len() && self.pause.is_none_or(|pause| Instant::now() >= pause)
    }

    /// The app thread that was asked for is there.
    pub(super) fn hired(&mut self) {
        self.hiring = false;
    }

    /// It could not be started. Gives how many there are.
    pub(super) fn not_hired(&mut self) -> usize {
        self.hiring = false;
        self.started -= 1;
        self.pause = Some(Instant::now() + PAUSE);
        self.started
    }
}
