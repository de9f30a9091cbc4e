//! Runs gevent's hub with the server's loop as its guest.

use std::cell::{Cell, OnceCell, RefCell};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferricorn_protocol::{AppFault, Guest, Look, TellStack};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::agenda::{Agenda, Item};
use super::app::Bridge;
use super::hub::{Hub, join, kill, kill_with};
use crate::deadline::{RequestTimeout, of_greenlet};
use crate::fault::{app_fault, exit_status};
use crate::forked::is_forked;
use crate::hosted::{Bell, Host, pump};

/// How long greenlets run one after the other before what they have answered is sent.
const SPELL: Duration = Duration::from_millis(1);

/// How long greenlets that are left may take to end when they are killed, in seconds.
const PATIENCE: f64 = 0.2;

thread_local! {
    /// The guest on its way to the hub; see [`run`].
    static ARRIVING: Cell<Option<Rc<dyn Guest>>> = const { Cell::new(None) };
}

/// Runs the hub until the worker's life is over.
pub(super) fn run(bridge: &Arc<Bridge>, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
    ARRIVING.set(Some(guest));
    // A greenlet that does not end leaves the calls open that it is in, and PyO3 counts those of the thread. What is
    // detached around them all gets back the count of before.
    Python::attach(|py| {
        py.detach(|| Python::attach(|py| serve(py, bridge).map_err(|error| app_fault(py, &error))))
    })
}

fn serve(py: Python<'_>, bridge: &Arc<Bridge>) -> PyResult<()> {
    let guest = ARRIVING.take().ok_or_else(|| PyRuntimeError::new_err("no guest has arrived"))?;
    let agenda = &bridge.agenda;
    agenda.set_hub(Hub::of_thread(py)?);
    let hub = agenda.hub()?;
    let turns = Rc::new(Turns {
        bridge: bridge.clone(),
        guest: guest.clone(),
        main: RefCell::new(hub.waiter(py)?.unbind()),
        watcher: OnceCell::new(),
        over: Cell::new(false),
    });
    let pumping = |look| Bound::new(py, Pump { turns: turns.clone(), look }).map(Bound::into_any);
    let (readable, rung) = (pumping(Look::Kernel)?, pumping(Look::Tasks)?.unbind());
    let ringing = agenda.clone();
    agenda.bell().hang(move |py| ringing.hub()?.call_soon(rung.bind(py)));
    let ringing = agenda.clone();
    guest.set_bell(Box::new(move || ringing.bell().ring()));
    let watcher = hub.watch(guest.descriptor().as_raw_fd(), &readable)?;
    let _ = turns.watcher.set(watcher.clone().unbind());
    hub.call_soon(&readable)?;
    let lived = live(py, &turns);
    watcher.call_method0("stop")?;
    watcher.call_method0("close")?;
    lived?;
    end(py, agenda)
}

/// Has the main greenlet wait while the hub runs.
fn live(py: Python<'_>, turns: &Turns) -> PyResult<()> {
    while !turns.over.get() {
        let waiter = turns.main.borrow().clone_ref(py);
        if let Err(error) = waiter.bind(py).call_method0("get") {
            // The hub throws here what ends a process. The worker drains first.
            let status = exit_status(py, &error).ok_or(error)?;
            turns.guest.leave(status);
        }
        let another = turns.bridge.agenda.hub()?.waiter(py)?.unbind();
        turns.main.replace(another);
    }
    Ok(())
}

/// Kills the greenlets that are left.
fn end(py: Python<'_>, agenda: &Agenda) -> PyResult<()> {
    let left = kill_all(py, agenda);
    if left.is_empty() {
        return Ok(());
    }
    join(py, left, PATIENCE)?;
    let deaf = agenda.running().count();
    if deaf > 0 {
        tracing::warn!("{deaf} greenlets did not end when they were killed");
    }
    Ok(())
}

/// Has all greenlets killed, soon, and gives them.
fn kill_all(py: Python<'_>, agenda: &Agenda) -> Vec<Py<PyAny>> {
    let greenlets = agenda.running().each(|greenlet| {
        if let Some(exchange) = &greenlet.exchange {
            exchange.cancel();
        }
        greenlet.greenlet.clone_ref(py)
    });
    for greenlet in &greenlets {
        if let Err(error) = kill(greenlet.bind(py)) {
            tracing::error!("A greenlet cannot be killed: {error}");
        }
    }
    greenlets
}

/// Has the greenlet killed, soon, that answers the request with this number, if it does not end before.
fn interrupt(py: Python<'_>, agenda: &Agenda, number: u64, tell: TellStack) {
    let found = agenda.running().each(|greenlet| {
        let exchange = greenlet.exchange.as_ref().filter(|exchange| exchange.answers(number))?;
        Some((greenlet.greenlet.clone_ref(py), exchange.clone()))
    });
    let Some((greenlet, exchange)) = found.into_iter().flatten().next() else { return tell(None) };
    let greenlet = greenlet.bind(py);
    tell(of_greenlet(greenlet));
    exchange.cancel();
    if let Err(error) = kill_with(greenlet, py.get_type::<RequestTimeout>().as_any()) {
        tracing::error!("A greenlet cannot be killed: {error}");
    }
}

/// What a pump does: a turn of the server's loop, and what that leaves for greenlets to do.
struct Turns {
    bridge: Arc<Bridge>,
    guest: Rc<dyn Guest>,
    /// What the main greenlet waits with.
    main: RefCell<Py<PyAny>>,
    watcher: OnceCell<Py<PyAny>>,
    over: Cell<bool>,
}

/// The callable that the hub calls.
#[pyclass(module = "ferricorn", unsendable, frozen)]
struct Pump {
    turns: Rc<Turns>,
    look: Look,
}

#[pymethods]
impl Pump {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        if is_forked() {
            // The hub of a process that the application has forked. The guest is not its own.
            return self
                .turns
                .watcher
                .get()
                .map_or(Ok(()), |watcher| watcher.bind(py).call_method0("stop").map(drop));
        }
        pump(&*self.turns, py, self.look)
    }
}

impl Host for Turns {
    fn bell(&self) -> &Bell {
        self.bridge.agenda.bell()
    }

    fn guest(&self) -> &dyn Guest {
        &*self.guest
    }

    fn over(&self) -> &Cell<bool> {
        &self.over
    }

    /// Not at once: this call would stay open while the main greenlet goes on.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let agenda = &self.bridge.agenda;
        while let Some(work) = agenda.last() {
            work.begin(py, &self.bridge);
        }
        agenda.hub()?.go_on(self.main.borrow().bind(py))
    }

    fn work_off(&self, py: Python<'_>) {
        let agenda = &self.bridge.agenda;
        let began = Instant::now();
        while let Some(item) = agenda.next() {
            match item {
                Item::Resume(waiter) => {
                    if let Err(error) = waiter.bind(py).call_method1(intern!(py, "switch"), (py.None(),)) {
                        tracing::error!("A greenlet could not go on: {error}");
                    }
                }
                Item::Begin(work) => work.begin(py, &self.bridge),
                Item::Interrupt(number, tell) => interrupt(py, agenda, number, tell),
                Item::Cancel => drop(kill_all(py, agenda)),
                Item::Leave(status) => self.guest.leave(status),
            }
            if began.elapsed() > SPELL {
                agenda.bell().ring();
                break;
            }
        }
    }
}
