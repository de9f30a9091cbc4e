//! How a guest's tasks say that they want a pump: by a bell on the host's thread, through the kernel from others.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

thread_local! {
    /// The bell of the guest on this thread.
    static HERE: RefCell<Option<Rc<Bell>>> = const { RefCell::new(None) };
}

/// The waker of a guest's tasks.
pub(super) struct Waking {
    /// Whether a task has become runnable since tasks were last run.
    wanted: AtomicBool,
    /// The runtime's own waker: it makes the descriptor readable.
    kernel: Waker,
}

/// What only the host's thread sees.
pub(super) struct Bell {
    waking: Arc<Waking>,
    call: RefCell<Option<Box<dyn Fn()>>>,
    pumping: Cell<bool>,
}

/// A pump that runs.
pub(super) struct Pumping<'a>(&'a Bell);

impl Bell {
    /// The bell of this thread, in place of any other, and the waker that rings it.
    pub(super) fn install(kernel: Waker) -> (Rc<Self>, Arc<Waking>) {
        let waking = Arc::new(Waking { wanted: AtomicBool::new(true), kernel });
        let bell =
            Rc::new(Self { waking: waking.clone(), call: RefCell::new(None), pumping: Cell::new(false) });
        HERE.with(|here| here.replace(Some(bell.clone())));
        (bell, waking)
    }

    /// Takes it away from this thread: nobody pumps any more.
    pub(super) fn remove(&self) {
        let _ = HERE.try_with(|here| {
            here.borrow_mut().take_if(|bell| std::ptr::eq(&**bell, self));
        });
    }

    pub(super) fn set(&self, call: Box<dyn Fn()>) {
        self.call.replace(Some(call));
    }

    /// Tells the host, unless it is in a pump, which sees for itself.
    pub(super) fn ring(&self) {
        if !self.pumping.get()
            && let Some(call) = &*self.call.borrow()
        {
            call();
        }
    }

    /// None inside another pump.
    pub(super) fn begin_pump(&self) -> Option<Pumping<'_>> {
        (!self.pumping.replace(true)).then_some(Pumping(self))
    }
}

impl Drop for Pumping<'_> {
    fn drop(&mut self) {
        self.0.pumping.set(false);
    }
}

impl Waking {
    /// Says that tasks are run now.
    pub(super) fn answer(&self) {
        // Whoever found the flag up has left its task where it is found now: hence a swap, which reads.
        self.wanted.swap(false, Ordering::AcqRel);
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.wanted.swap(true, Ordering::AcqRel) {
            return;
        }
        let here = HERE.try_with(|here| {
            let here = here.borrow();
            let bell = here.as_ref().filter(|bell| Arc::ptr_eq(&bell.waking, self));
            bell.map(|bell| bell.ring()).is_some()
        });
        if here != Ok(true) {
            self.kernel.wake_by_ref();
        }
    }
}
