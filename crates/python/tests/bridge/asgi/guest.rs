//! The server's loop as these tests have it: one future, which is the test's script.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use ferricorn_protocol::{Guest, Look, Pumped};

use super::Words;

/// How long a script may take before it is found to wait for what never comes.
const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    /// The bell of the loop that runs on this thread.
    static BELL: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// See the module's first line. The worker's life is over when the script has ended.
pub(super) struct Script {
    script: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    woken: Arc<Woken>,
    words: Arc<Words>,
    /// Readable only when the script takes too long.
    descriptor: PipeReader,
    late: Arc<AtomicBool>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
    /// Dropped, it tells the watch that the script has ended.
    _watch: Sender<()>,
}

/// Whether the script is to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
        BELL.with_borrow(|bell| {
            if let Some(bell) = bell {
                bell();
            }
        });
    }
}

impl Script {
    pub(super) fn new(script: Pin<Box<dyn Future<Output = ()>>>, words: Arc<Words>) -> Rc<Self> {
        let (descriptor, mut alarm) = io::pipe().unwrap();
        let (watch, ends) = mpsc::channel();
        let late = Arc::new(AtomicBool::new(false));
        let is_late = late.clone();
        thread::spawn(move || {
            let ended: Result<(), _> = ends.recv_timeout(PATIENCE);
            if ended == Err(RecvTimeoutError::Timeout) {
                is_late.store(true, Relaxed);
                alarm.write_all(b"!").unwrap();
            }
        });
        Rc::new(Self {
            script: RefCell::new(Some(script)),
            woken: Arc::new(Woken(AtomicBool::new(true))),
            words,
            descriptor,
            late,
            panic: Cell::new(None),
            _watch: watch,
        })
    }

    /// Fails if the script has.
    pub(super) fn check(&self) {
        BELL.set(None);
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
        assert!(self.script.borrow().is_none(), "the loop has ended before the script");
    }

    fn poll(&self) -> Poll<()> {
        let mut script = self.script.borrow_mut();
        let waker = Waker::from(self.woken.clone());
        let polled = script.as_mut().map(|script| script.as_mut().poll(&mut Context::from_waker(&waker)));
        if polled.is_none_or(|polled| polled.is_ready()) {
            *script = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Guest for Script {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn set_bell(&self, bell: Box<dyn Fn()>) {
        BELL.set(Some(bell));
    }

    fn leave(&self, status: u8) {
        self.words.say(format!("leave {status}"));
    }

    fn pump(&self, look: Look) -> Pumped {
        let late = look == Look::Kernel && self.late.load(Relaxed);
        if !self.woken.0.swap(false, Relaxed) && !late {
            return Pumped::Idle;
        }
        let turn = || {
            assert!(!late, "the script waits for what does not come");
            self.poll()
        };
        match catch_unwind(AssertUnwindSafe(turn)) {
            Ok(Poll::Pending) => Pumped::Idle,
            Ok(Poll::Ready(())) => Pumped::Over,
            Err(panic) => {
                self.panic.set(Some(panic));
                *self.script.borrow_mut() = None;
                Pumped::Over
            }
        }
    }
}
