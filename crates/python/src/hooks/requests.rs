//! The hooks of each request, `pre_request` and `post_request`, and what they are given.

use std::sync::{Arc, Mutex};

use ferricorn_protocol::{Connection, ExitCode, Head, Request};
use ferricorn_telemetry::tell_fault;
use http::{HeaderMap, Version, header};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::{WORKER, lock, objects};
use crate::fault::app_fault;
use crate::raw::latin1;

/// See the module's first line; made once in a worker, and only if there is one.
pub(crate) struct RequestHooks {
    before: Option<Py<PyAny>>,
    /// The function, and how many arguments it takes.
    after: Option<(Py<PyAny>, usize)>,
    worker: Py<PyAny>,
    request: Py<PyAny>,
    response: Py<PyAny>,
}

/// What is kept of a request for `post_request`: an extension of the request, until its books are closed.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Facts>>);

#[derive(Default)]
struct Facts {
    request: Option<Py<PyAny>>,
    environ: Option<Py<PyDict>>,
}

/// The hooks of requests of the worker that this process is.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn of_requests(py: Python<'_>) -> PyResult<Option<Arc<RequestHooks>>> {
    let Some(hooks) = WORKER.get() else { return Ok(None) };
    let (before, after) = (hooks.functions.take(py, "pre_request"), hooks.functions.take(py, "post_request"));
    let (Some(worker), true) = (hooks.worker(py), before.is_some() || after.is_some()) else {
        return Ok(None);
    };
    let objects = objects::module(py)?;
    Ok(Some(Arc::new(RequestHooks {
        before: before.map(|(function, _)| function),
        after,
        worker: worker.unbind(),
        request: objects.getattr("Request")?.unbind(),
        response: objects.getattr("Response")?.unbind(),
    })))
}

impl RequestHooks {
    /// Makes a request remembered until its end, if there is a hook for that.
    pub(crate) fn watch(&self, request: &mut Request) -> Option<Seen> {
        self.after.is_some().then(|| {
            let seen = Seen::default();
            request.head.extensions.insert(seen.clone());
            seen
        })
    }

    /// A request is about to be handled.
    ///
    /// # Errors
    /// What `pre_request` raised.
    pub(crate) fn begin(&self, py: Python<'_>, request: &Request) -> PyResult<()> {
        let object = self.request(py, request)?;
        if let Some(seen) = request.head.extensions.get::<Seen>() {
            lock(&seen.0).request = Some(object.clone().unbind());
        }
        match &self.before {
            Some(before) => before.bind(py).call1((&self.worker, object)).map(drop),
            None => Ok(()),
        }
    }

    /// The books on a request are closed. `head` is what it was answered with, and `sent` how many bytes followed. Gives
    /// the status with which the worker is to leave, if the hook asks for that.
    pub(crate) fn end(
        &self,
        py: Python<'_>,
        seen: &Seen,
        head: Option<&Head>,
        sent: u64,
    ) -> Option<ExitCode> {
        let fault = app_fault(py, &self.call_after(py, seen, head, sent).err()?);
        tell_fault("Exception in post_request hook", &fault);
        fault.exit.map(ExitCode)
    }

    fn call_after(&self, py: Python<'_>, seen: &Seen, head: Option<&Head>, sent: u64) -> PyResult<()> {
        let (request, environ) = {
            let mut facts = lock(&seen.0);
            (facts.request.take(), facts.environ.take())
        };
        // A client that left before its call had begun has no request to tell of.
        let (Some((after, arity)), Some(request)) = (&self.after, request) else { return Ok(()) };
        let after = after.bind(py);
        if *arity == 2 {
            return after.call1((&self.worker, request)).map(drop);
        }
        if *arity == 3 {
            return after.call1((&self.worker, request, environ)).map(drop);
        }
        let response = head.map(|head| self.response(py, &request, head, sent)).transpose()?;
        after.call1((&self.worker, request, environ, response)).map(drop)
    }

    fn request<'py>(&self, py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyAny>> {
        let target = request.target();
        let fragment = target.iter().position(|&byte| byte == b'#').map_or(&b""[..], |at| &target[at + 1..]);
        let version = request.sent_version.unwrap_or(match request.head.version {
            Version::HTTP_10 => (1, 0),
            Version::HTTP_2 => (2, 0),
            _ => (1, 1),
        });
        self.request.bind(py).call1((
            request.head.method.as_str(),
            latin1(py, target)?,
            latin1(py, request.path())?,
            latin1(py, request.query())?,
            latin1(py, fragment)?,
            version,
            headers(py, &request.head.headers)?,
            request.scheme.as_str(),
            request.connection.peer.map(|peer| (peer.ip().to_string(), peer.port())),
            proxied(py, &request.connection)?,
        ))
    }

    fn response<'py>(
        &self,
        py: Python<'py>,
        request: &Py<PyAny>,
        head: &Head,
        sent: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let reason = match &head.reason {
            Some(reason) => String::from_utf8_lossy(reason).into_owned(),
            None => head.status.canonical_reason().unwrap_or_default().to_owned(),
        };
        let status = format!("{} {reason}", head.status.as_u16());
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<u64>().ok());
        self.response.bind(py).call1((
            request,
            status.trim_end(),
            head.status.as_u16(),
            fields(py, &head.headers)?,
            sent,
            length,
        ))
    }
}

impl Seen {
    /// Notes the environ of a request, if somebody wants to see it.
    pub(crate) fn note(request: &Request, environ: &Bound<'_, PyDict>) {
        if let Some(seen) = request.head.extensions.get::<Self>() {
            lock(&seen.0).environ = Some(environ.clone().unbind());
        }
    }
}

/// As gunicorn's parser gives them: names in upper case.
fn headers<'py>(py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in headers {
        list.append((name.as_str().to_ascii_uppercase(), latin1(py, value.as_bytes())?))?;
    }
    Ok(list)
}

/// The app's own headers.
fn fields<'py>(py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in headers {
        if name != header::SERVER && name != header::CONNECTION {
            list.append((name.as_str(), latin1(py, value.as_bytes())?))?;
        }
    }
    Ok(list)
}

/// gunicorn's `proxy_protocol_info`.
fn proxied<'py>(py: Python<'py>, connection: &Connection) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(proxied) = &connection.proxied else { return Ok(None) };
    let dict = PyDict::new(py);
    dict.set_item("proxy_protocol", proxied.protocol)?;
    for (who, address) in [("client", connection.peer), ("proxy", proxied.destination)] {
        dict.set_item(format!("{who}_addr"), address.map(|address| address.ip().to_string()))?;
        dict.set_item(format!("{who}_port"), address.map(|address| address.port()))?;
    }
    Ok(Some(dict))
}
