//! The deadlines of a loop that is a guest: a list, and one [`Alarm`] in the runtime's epoll for the earliest.
//!
//! The list belongs to the thread of the host, on which everything of such a loop happens. The alarm is set at the
//! end of a pump, once for all that was asked for in it; a deadline that is not wanted any more may ring in vain.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ferricorn_unix::Alarm;
use tokio::net::unix::pipe::Receiver;

thread_local! {
    static HERE: RefCell<Option<Rc<Alarms>>> = const { RefCell::new(None) };
}

/// A deadline, and a number that tells those of one time from each other.
type Key = (Instant, u64);

/// See the module's first line.
pub(crate) struct Alarms {
    alarm: Alarm,
    waits: RefCell<BTreeMap<Key, Waker>>,
    number: Cell<u64>,
    /// When the alarm will ring, unless it has no deadline.
    set: Cell<Option<Instant>>,
    /// Whether an earlier deadline than that has been asked for.
    sooner: Cell<bool>,
}

/// Has the waits of this thread go to the list; until it is dropped.
pub(crate) struct Installed(PhantomData<*const ()>);

impl Drop for Installed {
    fn drop(&mut self) {
        HERE.with(|here| here.take());
    }
}

impl Alarms {
    /// Makes the list of this thread.
    ///
    /// # Errors
    /// The kernel refused a timer.
    pub(crate) fn install() -> io::Result<(Rc<Self>, Installed)> {
        let alarms = Rc::new(Self {
            alarm: Alarm::new()?,
            waits: RefCell::default(),
            number: Cell::new(0),
            set: Cell::new(None),
            sooner: Cell::new(false),
        });
        HERE.with(|here| here.replace(Some(alarms.clone())));
        Ok((alarms, Installed(PhantomData)))
    }

    /// Whether this thread is that of a host.
    pub(super) fn are_installed() -> bool {
        HERE.with_borrow(Option::is_some)
    }

    /// The task that wakes who waits, when the alarm rings. To be called with the runtime entered.
    ///
    /// # Errors
    /// The alarm cannot be watched.
    pub(crate) fn watch(self: &Rc<Self>) -> io::Result<impl Future<Output = ()> + use<>> {
        let bell = Receiver::from_owned_fd_unchecked(self.alarm.as_fd().try_clone_to_owned()?)?;
        let alarms = self.clone();
        Ok(async move {
            // It fails when the runtime ends.
            while bell.readable().await.is_ok() {
                let mut times = [0; 8];
                while matches!(bell.try_read(&mut times), Ok(1..)) {}
                alarms.ring();
            }
        })
    }

    /// Wakes everyone whose deadline has passed.
    fn ring(&self) {
        let now = Instant::now();
        let later = self.waits.borrow_mut().split_off(&(now, u64::MAX));
        let due = self.waits.replace(later);
        self.set.set(None);
        self.sooner.set(true);
        due.into_values().for_each(Waker::wake);
    }

    /// Sets the alarm for the earliest deadline, if that has changed. To be called before the host sleeps.
    pub(crate) fn set(&self) {
        if !self.sooner.replace(false) {
            return;
        }
        let earliest = self.waits.borrow().first_key_value().map(|((deadline, _), _)| *deadline);
        if let Some(deadline) = earliest {
            self.set_for(deadline);
        }
    }

    /// Has the alarm ring within that time, though nobody may wait.
    pub(crate) fn set_within(&self, time: Duration) {
        self.set_for(Instant::now() + time);
    }

    fn set_for(&self, deadline: Instant) {
        if self.set.get().is_none_or(|set| deadline < set) {
            self.set.set(Some(deadline));
            if let Err(error) = self.alarm.set(deadline.saturating_duration_since(Instant::now())) {
                tracing::error!("The timer of the event loop cannot be set: {error}");
            }
        }
    }

    fn add(&self, deadline: Instant, waker: Waker) -> Key {
        let key = (deadline, self.number.get());
        self.number.set(key.1 + 1);
        if self.set.get().is_none_or(|set| deadline < set) {
            self.sooner.set(true);
        }
        self.waits.borrow_mut().insert(key, waker);
        key
    }
}

/// A place in the list of the thread on which it is polled; it must not be polled on another.
pub(super) struct Wait {
    deadline: Instant,
    key: Option<Key>,
}

impl Wait {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, key: None }
    }

    /// Waits until the loop has looked at the kernel: the alarm rings only there.
    pub(super) async fn for_a_turn() {
        let mut wait = Self::new(Instant::now());
        let mut asked = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut asked, true) { wait.poll(cx) } else { wait.enter(cx) }
        })
        .await;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= Instant::now() {
            self.leave();
            return Poll::Ready(());
        }
        self.enter(cx)
    }

    fn enter(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.leave();
        // Without a list the loop has ended, and the task with it.
        self.key = HERE
            .with_borrow(|here| here.as_ref().map(|alarms| alarms.add(self.deadline, cx.waker().clone())));
        Poll::Pending
    }

    fn leave(&mut self) {
        let Some(key) = self.key.take() else { return };
        let waker = HERE.try_with(|here| {
            here.borrow().as_ref().and_then(|alarms| alarms.waits.borrow_mut().remove(&key))
        });
        drop(waker);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.leave();
    }
}
