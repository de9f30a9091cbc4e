//! What a greenlet does: one call of the application, or the end of a response.

use std::sync::{Arc, Mutex};

use ferricorn_protocol::{Answer, AppFault, Pieces, Request, RequestBody, Watch};
use ferricorn_telemetry::tell_fault;
use pyo3::intern;
use pyo3::prelude::*;

use super::agenda::{Agenda, Greenlet};
use super::app::Bridge;
use super::exchange::Exchange;
use super::input::Input;
use super::pour::{answer, pour};
use crate::deadline::ExtendDeadline;
use crate::fault::app_fault;
use crate::forked::end_if_forked;
use crate::hosted::lock;
use crate::wsgi::{Outlet, StartResponse, Turn, close_left_open};

/// What a greenlet is made for.
pub(super) enum Work {
    /// A request.
    Call(Box<Call>),
    /// A response whose bytes the server has sent by itself; and the request, for the log.
    Close(Box<dyn Pieces>, String),
    /// A request that is over, of which a hook is told; and how many bytes its body had.
    Over(Box<dyn Watch>, u64),
}

/// A request that waits for its call.
pub(super) struct Call {
    pub(super) request: Box<Request>,
    /// Whether it has a body.
    pub(super) has_body: bool,
    pub(super) exchange: Arc<Exchange>,
}

impl Work {
    /// Whether it ends what another one has begun.
    pub(super) fn ends_another(&self) -> bool {
        matches!(self, Self::Close(..) | Self::Over(..))
    }

    /// The request that it answers, if it does.
    pub(super) fn exchange(&self) -> Option<&Arc<Exchange>> {
        match self {
            Self::Call(call) => Some(&call.exchange),
            Self::Close(..) | Self::Over(..) => None,
        }
    }

    /// Begins a greenlet, which runs until it waits for the first time. To be called by the hub.
    pub(super) fn begin(self, py: Python<'_>, bridge: &Arc<Bridge>) {
        let exchange = self.exchange().cloned();
        if exchange.as_ref().is_some_and(|exchange| exchange.is_gone()) {
            return;
        }
        if let Err(error) = self.begin_for(py, bridge, exchange.clone()) {
            let fault = app_fault(py, &error);
            match exchange {
                Some(exchange) => exchange.respond(Err(fault)),
                None => tell("A greenlet could not begin", &fault, &bridge.agenda),
            }
        }
    }

    fn begin_for(
        self,
        py: Python<'_>,
        bridge: &Arc<Bridge>,
        exchange: Option<Arc<Exchange>>,
    ) -> PyResult<()> {
        let errand = Errand {
            bridge: bridge.clone(),
            exchange: exchange.clone(),
            work: Mutex::new(Some(self)),
            stage: Mutex::new(Stage::First),
        };
        let errand = Bound::new(py, errand)?;
        let greenlet = bridge.agenda.hub()?.greenlet(errand.as_any())?;
        greenlet.call_method0(intern!(py, "switch"))?;
        let mut stage = lock(&errand.get().stage);
        if matches!(*stage, Stage::First) {
            let greenlet = Greenlet { greenlet: greenlet.unbind(), exchange };
            *stage = Stage::GoesOn(bridge.agenda.running().begin(greenlet));
        }
        Ok(())
    }

    fn run(self, py: Python<'_>, bridge: &Bridge) {
        match self {
            Self::Call(call) => call.run(py, bridge),
            Self::Close(pieces, line) => close(pieces, &line, &bridge.agenda),
            Self::Over(watch, sent) => {
                if let Some(code) = watch.over(sent) {
                    bridge.agenda.leave(code.0);
                }
            }
        }
    }
}

/// How far a greenlet is.
enum Stage {
    /// It has not waited yet.
    First,
    /// It has; its number among those that go on.
    GoesOn(u64),
    Ended,
}

/// What a greenlet calls.
#[pyclass(module = "ferricorn", frozen)]
struct Errand {
    bridge: Arc<Bridge>,
    exchange: Option<Arc<Exchange>>,
    work: Mutex<Option<Work>>,
    stage: Mutex<Stage>,
}

#[pymethods]
impl Errand {
    fn __call__(&self, py: Python<'_>) {
        let _ends = Ends(self);
        let work = lock(&self.work).take();
        if let Some(work) = work {
            work.run(py, &self.bridge);
        }
    }

    #[getter(__name__)]
    fn name(&self) -> String {
        self.exchange.as_ref().map_or_else(|| "after a response".to_owned(), |exchange| exchange.request())
    }
}

/// Notes the end of a greenlet, however it comes.
struct Ends<'a>(&'a Errand);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let Errand { bridge, exchange, stage, .. } = self.0;
        if let Some(exchange) = exchange {
            exchange.ended();
        }
        let stage = std::mem::replace(&mut *lock(stage), Stage::Ended);
        if let Stage::GoesOn(number) = stage {
            bridge.agenda.ended(number);
        }
    }
}

impl Call {
    fn run(self, py: Python<'_>, bridge: &Bridge) {
        close_left_open(py);
        let Self { mut request, has_body, exchange } = self;
        let environ = match bridge.wsgi.environ(py, &mut request) {
            Ok(environ) => environ,
            Err(fault) => return exchange.fail(fault),
        };
        let called =
            Bound::new(py, StartResponse::new(Outlet::Greenlet(exchange.clone()), request.head.version))
                .and_then(|start| {
                    let _noted = Turn::of(&request.connection).map(|turn| turn.begin(&start));
                    if let Some(deadline) = exchange.deadline() {
                        let extend = Bound::new(py, ExtendDeadline::new(deadline))?;
                        environ.set_item(intern!(py, "ferricorn.extend_deadline"), extend)?;
                    }
                    if has_body {
                        environ.set_item(
                            intern!(py, "wsgi.input"),
                            Bound::new(py, Input::new(exchange.clone()))?,
                        )?;
                    }
                    bridge.wsgi.run(&environ, &start, &request.head)
                });
        end_if_forked(py, called.as_ref().err());
        match called {
            Ok(Answer::Response(response)) => answer(py, &exchange, response),
            Ok(Answer::Begun(body)) => pour(py, &exchange, body),
            Ok(Answer::Fault(fault)) => exchange.fail(fault),
            Ok(Answer::Later(_)) => {}
            Err(error) => exchange.fail(app_fault(py, &error)),
        }
    }
}

/// A body that the server reads from a file by itself: its end is left to a greenlet.
pub(super) struct Later {
    rest: Option<Box<dyn Pieces>>,
    exchange: Arc<Exchange>,
}

impl Later {
    pub(super) fn new(rest: Box<dyn Pieces>, exchange: &Arc<Exchange>) -> Self {
        Self { rest: Some(rest), exchange: exchange.clone() }
    }
}

impl Pieces for Later {
    fn next(&mut self) -> Result<Option<bytes::Bytes>, AppFault> {
        Ok(None)
    }

    fn close(self: Box<Self>) -> Result<(), AppFault> {
        Ok(())
    }
}

/// Also of an answer that nobody took.
impl Drop for Later {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            self.exchange.agenda().begin(Work::Close(rest, self.exchange.request()));
        }
    }
}

/// Closes a response, in a greenlet.
pub(super) fn close(pieces: Box<dyn Pieces>, line: &str, agenda: &Agenda) {
    if let Err(fault) = pieces.close() {
        tell(&format!("Error while closing the response to {line}"), &fault, agenda);
    }
}

/// Tells of a fault that belongs to no answer, and has the worker leave if the application asks for that.
pub(super) fn tell(what: &str, fault: &AppFault, agenda: &Agenda) {
    tell_fault(what, fault);
    if let Some(status) = fault.exit {
        agenda.leave(status);
    }
}

/// Whether a request brings a body.
pub(super) fn has_body(request: &Request) -> bool {
    !matches!(request.body, RequestBody::Empty)
}
