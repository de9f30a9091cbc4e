//! The guest: the event loop on the thread of the app's own (asyncio), which turns it.
//!
//! The host watches the descriptor of the runtime's epoll, and *pumps* the guest when it is readable. A wake-up that
//! the host's thread causes itself rings a bell instead of a descriptor, so that an answer of the app costs no
//! system call before its own bytes are written.
//!
//! What must hold, and is tested in `tests.rs`: no wake-up is lost. Four things see to it.
//! - A pump polls the runtime's driver once and *then* runs tasks until none is runnable. A look at the kernel that
//!   came last would take an event out of the epoll, and the task that it woke would sleep until the next one.
//! - All tasks are local ones, polled with a [`Waking`] of our own. The runtime's flag for its own waker is not relied
//!   upon: it says that the runtime was woken, not that anybody will drive it.
//! - They are polled outside of `block_on`: inside, a task that yields, or has used up its budget, would be put on a
//!   list that is forgotten when `block_on` returns.
//! - The descriptor is registered by edges inside, but an epoll stays readable until somebody has looked at all of it.

mod bell;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ferricorn_protocol::{Guest, Look, Pumped};
use ferricorn_unix::epoll;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::seat::{self, Work};
use crate::timer::{Alarms, Installed};

use bell::{Bell, Waking};

/// How many times tasks are run in one pump until none is runnable; each time runs up to 61 of them.
const ROUNDS: usize = 4;

/// How long a task that is not one of ours may have to wait, at the most, when it has been woken.
const FOREIGN: Duration = Duration::from_millis(5);

/// See the module's first line. It belongs to the thread that makes it.
pub(crate) struct Visitor<W: Work> {
    descriptor: OwnedFd,
    bell: Rc<Bell>,
    waking: Arc<Waking>,
    /// The same as `waking`, as tasks have it.
    waker: Waker,
    shared: Arc<seat::Shared<W>>,
    alarms: Rc<Alarms>,
    /// None once the guest has left.
    house: RefCell<Option<House>>,
    /// What is done after each pump.
    after: Box<dyn Fn()>,
    /// Has the worker leave with a status.
    leave: Box<dyn Fn(u8)>,
    over: Cell<bool>,
}

/// What the guest brought with it.
struct House {
    tasks: LocalSet,
    _alarms: Installed,
    runtime: Runtime,
}

impl<W: Work> Visitor<W> {
    /// Builds the runtime. Nothing runs before the first pump. `after` runs at the end of each; `leave` has the worker
    /// leave with a status.
    ///
    /// # Errors
    /// The kernel refused a descriptor, or that of the runtime's epoll cannot be found.
    pub(crate) fn new(after: impl Fn() + 'static, leave: impl Fn(u8) + 'static) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let descriptor = {
            let _entered = runtime.enter();
            epoll::of(UnixStream::from_std)?
        };
        let kernel = runtime.block_on(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        let (bell, waking) = Bell::install(kernel);
        let waker = Waker::from(waking.clone());
        let shared = Arc::new(seat::Shared::new(1));
        shared.wake_with(waker.clone());
        let (alarms, installed) = Alarms::install()?;
        let tasks = LocalSet::new();
        {
            let _entered = runtime.enter();
            tasks.spawn_local(alarms.watch()?);
        }
        let house = RefCell::new(Some(House { tasks, _alarms: installed, runtime }));
        Ok(Self {
            descriptor,
            bell,
            waking,
            waker,
            shared,
            alarms,
            house,
            after: Box::new(after),
            leave: Box::new(leave),
            over: Cell::new(false),
        })
    }

    /// The part that tasks may keep.
    pub(crate) fn shared(&self) -> &Arc<seat::Shared<W>> {
        &self.shared
    }

    /// Does something as a task would, such as spawning some.
    pub(crate) fn enter<T>(&self, act: impl FnOnce() -> T) -> T {
        let house = self.house.borrow();
        let _entered = house.as_ref().map(|house| (house.runtime.enter(), house.tasks.enter()));
        act()
    }

    /// Ends all tasks. Whatever is called afterwards does nothing.
    pub(crate) fn depart(&self) {
        self.over.set(true);
        self.bell.remove();
        if let Some(House { tasks, _alarms, runtime }) = self.house.take() {
            let entered = runtime.enter();
            drop(tasks);
            drop(entered);
            runtime.shutdown_background();
        }
    }

    /// Has the runtime poll its driver.
    fn look(&self, house: &House) {
        let look = || house.runtime.block_on(tokio::task::yield_now());
        look();
        if house.runtime.metrics().num_alive_tasks() > 0 {
            // Somebody has spawned tasks on the runtime itself. It runs them only before it polls the driver, so those
            // that were woken by that run now, and those that another poll wakes a little later.
            look();
            self.alarms.set_within(FOREIGN);
        }
    }

    /// Runs tasks until none is runnable, or the host should have its turn.
    fn run_tasks(&self, house: &mut House) {
        let _entered = house.runtime.enter();
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..ROUNDS {
            self.waking.answer();
            let _ = Pin::new(&mut house.tasks).poll(&mut cx);
            self.shared.run_here();
            if self.shared.stopping() || !self.waking.is_wanted() {
                break;
            }
        }
    }
}

impl<W: Work> Guest for Visitor<W> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn set_bell(&self, bell: Box<dyn Fn()>) {
        self.bell.set(bell);
        if self.waking.is_wanted() {
            self.bell.ring();
        }
    }

    fn leave(&self, status: u8) {
        (self.leave)(status);
    }

    fn pump(&self, look: Look) -> Pumped {
        if self.over.get() {
            return Pumped::Over;
        }
        let Some(_pumping) = self.bell.begin_pump() else { return Pumped::Idle };
        if let Some(house) = self.house.borrow_mut().as_mut() {
            if look == Look::Kernel {
                self.look(house);
            }
            self.run_tasks(house);
        }
        (self.after)();
        self.alarms.set();
        if self.shared.stopping() {
            self.depart();
            Pumped::Over
        } else if self.waking.is_wanted() {
            Pumped::Busy
        } else {
            Pumped::Idle
        }
    }
}

impl<W: Work> Drop for Visitor<W> {
    fn drop(&mut self) {
        self.depart();
    }
}
