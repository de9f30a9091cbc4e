//! A WSGI application as the server calls it.

use std::sync::Arc;

use ferricorn_protocol::{
    Answer, App, AppFault, Deadline, Drive, ExitCode, Head, Request, Response, ResponseBody, TellStack,
    Watch, WorkerInfo,
};
use ferricorn_telemetry::tell_fault;
use http::request::Parts;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::close::close_left_open;
use super::contexts;
use super::early_hints::Current;
use super::environ::{EnvironFactory, Facts};
use super::outlet::Outlet;
use super::response::body;
use super::start_response::StartResponse;
use crate::app_thread;
use crate::deadline::{Bounded, ExtendDeadline, Steps, over};
use crate::fault::app_fault;
use crate::forked::end_if_forked;
use crate::hooks::{RequestHooks, Seen, of_requests};

/// A WSGI application, loaded.
pub struct WsgiApp {
    callable: Py<PyAny>,
    environs: EnvironFactory,
    log_environ: Vec<String>,
    /// What threads do for requests with a deadline.
    steps: Arc<Steps>,
    hooks: Option<Arc<RequestHooks>>,
}

impl WsgiApp {
    /// Wraps the callable. `script_name` is what is taken off each path.
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn new(
        callable: Bound<'_, PyAny>,
        worker: &WorkerInfo,
        script_name: &str,
        environs: EnvironFactory,
    ) -> PyResult<Self> {
        let facts = Facts {
            multithread: worker.app_threads > 1,
            multiprocess: worker.multiprocess,
            script_name: script_name.to_owned(),
            shows_socket: true,
            greenlets: false,
        };
        Self::with(callable, worker, &facts, environs)
    }

    /// As [`WsgiApp::new`], for an application that is told so.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn with(
        callable: Bound<'_, PyAny>,
        worker: &WorkerInfo,
        facts: &Facts,
        environs: EnvironFactory,
    ) -> PyResult<Self> {
        let environs = environs.tell(callable.py(), facts)?;
        let hooks = of_requests(callable.py())?;
        let log_environ = worker.log_environ.clone();
        Ok(Self { callable: callable.unbind(), environs, log_environ, steps: Arc::default(), hooks })
    }

    /// Has calls interrupted on this thread, which must be the main thread, when their requests have a deadline.
    ///
    /// # Errors
    /// Those of `signal.signal`.
    pub fn prepare_for_deadlines(&self, py: Python<'_>) -> PyResult<()> {
        self.steps.prepare(py)
    }

    fn answer(&self, py: Python<'_>, request: &mut Request) -> Result<Answer, AppFault> {
        close_left_open(py);
        let environ = self.environ(py, request)?;
        let answer = match request.deadline.take() {
            None => self.run_on_thread(&environ, request),
            Some(deadline) => self.run_within(&environ, request, &deadline)?,
        };
        end_if_forked(py, answer.as_ref().err());
        answer.map_err(|error| app_fault(py, &error))
    }

    /// The same as [`WsgiApp::run_on_thread`] for a request that has a deadline. The outer error is that the time is over.
    fn run_within(
        &self,
        environ: &Bound<'_, PyDict>,
        request: &mut Request,
        deadline: &Arc<dyn Deadline>,
    ) -> Result<PyResult<Answer>, AppFault> {
        let py = environ.py();
        let extend = Bound::new(py, ExtendDeadline::new(deadline));
        let set =
            extend.and_then(|extend| environ.set_item(intern!(py, "ferricorn.extend_deadline"), extend));
        if let Err(error) = set {
            return Ok(Err(error));
        }
        let answer =
            self.steps.run(py, &**deadline, || self.run_on_thread(environ, request)).ok_or_else(over)?;
        let bounded = |body| Bounded::body(body, deadline, &self.steps);
        Ok(answer.map(|answer| match answer {
            Answer::Begun(body) => Answer::Begun(bounded(body)),
            Answer::Response(mut response) => {
                response.body = bounded(std::mem::replace(&mut response.body, ResponseBody::Empty));
                Answer::Response(response)
            }
            other => other,
        }))
    }

    fn run_on_thread(&self, environ: &Bound<'_, PyDict>, request: &mut Request) -> PyResult<Answer> {
        let outlet = request.early.take().map_or(Outlet::None, Outlet::Thread);
        let start = Bound::new(environ.py(), StartResponse::new(outlet, request.head.version))?;
        let _current = Current::new(&start);
        self.run(environ, &start, &request.head)
    }

    /// The environ of a request, of which the hooks are told; see [`EnvironFactory::build`].
    pub(crate) fn environ<'py>(
        &self,
        py: Python<'py>,
        request: &mut Request,
    ) -> Result<Bound<'py, PyDict>, AppFault> {
        if let Some(hooks) = &self.hooks {
            hooks.begin(py, request).map_err(|error| app_fault(py, &error))?;
        }
        let environ = self.environs.build(py, request)?;
        if self.hooks.is_some() {
            Seen::note(request, &environ);
        }
        Ok(environ)
    }

    /// Calls the application. What of the body is to come is left to be pulled.
    ///
    /// # Errors
    /// Its exception, or what is wrong with its answer.
    pub(crate) fn run(
        &self,
        environ: &Bound<'_, PyDict>,
        start: &Bound<'_, StartResponse>,
        request: &Parts,
    ) -> PyResult<Answer> {
        let py = environ.py();
        let iterable = match self.callable.bind(py).call1((environ, start)) {
            Ok(iterable) => iterable,
            Err(error) if start.borrow().ends_with(&error, py) => {
                return Ok(Answer::Begun(ResponseBody::Empty));
            }
            Err(error) => return Err(error),
        };
        let body = body(iterable, start, request)?;
        if start.borrow().is_sent() {
            return Ok(Answer::Begun(body));
        }
        let head = start.borrow_mut().take_head();
        match head {
            Ok(head) => {
                let log_environ = self.log_environ.iter().map(|name| variable(environ, name)).collect();
                Ok(Answer::Response(Box::new(Response { head, body, log_environ })))
            }
            Err(error) => {
                end(body, request);
                Err(error)
            }
        }
    }
}

impl App for WsgiApp {
    fn drive(&self) -> Drive {
        Drive::Seat
    }

    fn watch(&self, request: &mut Request) -> Option<Box<dyn Watch>> {
        let hooks = self.hooks.as_ref()?;
        let seen = hooks.watch(request)?;
        Some(Box::new(Watched { hooks: hooks.clone(), seen, head: None }))
    }

    /// Attaching once for several calls is a tenth of what attaching for each would cost. Other threads of the
    /// application get their turn whenever a call blocks, and from the interpreter's own switching.
    fn around_calls(&self, calls: &mut dyn FnMut()) {
        Python::attach(|py| {
            contexts::begin(py);
            calls();
        });
    }

    fn interrupt(&self, number: u64, tell: TellStack) {
        self.steps.interrupt(number, tell);
    }

    fn is_held_by(&self, number: u64) -> bool {
        self.steps.has(number)
    }

    fn start_thread(&self, name: String, body: Box<dyn FnOnce() + Send>) -> Result<(), AppFault> {
        app_thread::start(name, body)
    }

    fn call(&self, mut request: Box<Request>) -> Answer {
        Python::attach(|py| self.answer(py, &mut request)).unwrap_or_else(Answer::Fault)
    }
}

/// A request whose end a hook waits for.
struct Watched {
    hooks: Arc<RequestHooks>,
    seen: Seen,
    head: Option<Head>,
}

impl Watch for Watched {
    fn answered(&mut self, head: &Head) {
        self.head = self.hooks.wants_response().then(|| head.clone());
    }

    fn over(self: Box<Self>, sent: u64) -> Option<ExitCode> {
        Python::attach(|py| self.hooks.end(py, &self.seen, self.head.as_ref(), sent))
    }
}

/// Closes a body that is not sent, for a fault that goes before any of its own.
fn end(body: ResponseBody, request: &Parts) {
    let rest = match body {
        ResponseBody::Pulled { rest, .. } => Some(rest),
        ResponseBody::File(file) => file.rest,
        _ => None,
    };
    if let Some(Err(fault)) = rest.map(|rest| rest.close()) {
        let what = format!("Error while closing the response to {} {}", request.method, request.uri.path());
        tell_fault(&what, &fault);
    }
}

/// The value of an environ variable for the access log.
fn variable(environ: &Bound<'_, PyDict>, name: &str) -> Option<String> {
    Some(environ.get_item(name).ok()??.str().ok()?.to_string_lossy().into_owned())
}
