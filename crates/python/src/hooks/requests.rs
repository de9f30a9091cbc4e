//! The hooks of each request, `pre_request` and `post_request`, and what they are given.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ferricorn_protocol::{Connection, ExitCode, Head, Request, Scheme};
use ferricorn_telemetry::tell_fault;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use rustc_hash::FxHashMap;

use super::{WORKER, lock, objects};
use crate::fault::app_fault;
use crate::header_names::COMMON;
use crate::raw::latin1;
use crate::wsgi::method;

/// See the module's first line; made once in a worker, and only if there is one.
pub(crate) struct RequestHooks {
    before: Option<Py<PyAny>>,
    /// The function, and how many arguments it takes.
    after: Option<(Py<PyAny>, usize)>,
    worker: Py<PyAny>,
    request: Py<PyAny>,
    response: Py<PyAny>,
    kept: Kept,
}

/// Objects of which requests need the same ones again and again.
struct Kept {
    /// The names of common headers in capitals.
    names: FxHashMap<HeaderName, Py<PyString>>,
    /// The versions 1.0, 1.1 and 2.0.
    versions: [Py<PyTuple>; 3],
    /// The peer of the last request: a client that stays, or a proxy, asks many times.
    peer: Mutex<Option<(SocketAddr, Py<PyTuple>)>>,
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
        kept: Kept::new(py)?,
    })))
}

impl Kept {
    fn new(py: Python<'_>) -> PyResult<Self> {
        let name = |name: &&'static str| {
            let capitals = PyString::intern(py, &name.to_ascii_uppercase()).unbind();
            (HeaderName::from_static(name), capitals)
        };
        let version = |version: (u8, u8)| version.into_pyobject(py).map(Bound::unbind);
        let versions = [version((1, 0))?, version((1, 1))?, version((2, 0))?];
        Ok(Self { names: COMMON.iter().map(name).collect(), versions, peer: Mutex::default() })
    }

    fn version<'py>(&self, py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyTuple>> {
        if let Some(sent) = request.sent_version {
            return sent.into_pyobject(py);
        }
        let [old, usual, new] = &self.versions;
        let version = match request.head.version {
            Version::HTTP_10 => old,
            Version::HTTP_2 => new,
            _ => usual,
        };
        Ok(version.bind(py).clone())
    }

    /// Address and port of the peer, if it has one.
    fn peer<'py>(&self, py: Python<'py>, connection: &Connection) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(peer) = connection.peer else { return Ok(None) };
        let mut last = lock(&self.peer);
        if let Some((_, tuple)) = last.as_ref().filter(|(known, _)| *known == peer) {
            return Ok(Some(tuple.bind(py).clone()));
        }
        let tuple = (peer.ip().to_string(), peer.port()).into_pyobject(py)?;
        let before = last.replace((peer, tuple.clone().unbind()));
        drop(last);
        drop(before);
        Ok(Some(tuple))
    }

    /// Headers as gunicorn's parser gives them: names in upper case.
    fn headers<'py>(&self, py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
        let pair = |(name, value): (&HeaderName, &HeaderValue)| -> PyResult<_> {
            let name = match self.names.get(name) {
                Some(capitals) => capitals.bind(py).clone(),
                None => PyString::new(py, &name.as_str().to_ascii_uppercase()),
            };
            (name, latin1(py, value.as_bytes())?).into_pyobject(py)
        };
        PyList::new(py, headers.iter().map(pair).collect::<PyResult<Vec<_>>>()?)
    }
}

impl RequestHooks {
    /// Whether a hook wants to know the response.
    pub(crate) fn wants_response(&self) -> bool {
        self.after.as_ref().is_some_and(|&(_, arity)| arity > 3)
    }

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
        self.request.bind(py).call1((
            method(py, &request.head.method),
            latin1(py, target)?,
            latin1(py, request.path())?,
            latin1(py, request.query())?,
            latin1(py, fragment)?,
            self.kept.version(py, request)?,
            self.kept.headers(py, &request.head.headers)?,
            match request.scheme {
                Scheme::Http => intern!(py, "http"),
                Scheme::Https => intern!(py, "https"),
            },
            self.kept.peer(py, &request.connection)?,
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

/// `Content-Type`, as apps write it: the server keeps names in lower case.
fn titled(name: &str) -> String {
    let mut begins = true;
    let titled = |letter: char| {
        let before = std::mem::replace(&mut begins, !letter.is_ascii_alphabetic());
        if before { letter.to_ascii_uppercase() } else { letter }
    };
    name.chars().map(titled).collect()
}

/// The app's own headers.
fn fields<'py>(py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in headers {
        if name != header::SERVER && name != header::CONNECTION {
            list.append((titled(name.as_str()), latin1(py, value.as_bytes())?))?;
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
