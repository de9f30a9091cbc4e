//! The scope of a request: a ready-made dictionary is copied, and what differs is set.

use std::net::SocketAddr;

use ferricorn_protocol::{Connection, Local, Request, Scheme};
use http::{HeaderMap, HeaderName, Method, Version, header};
use percent_encoding::percent_decode;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use rustc_hash::FxHashMap;

use super::notes::Notes;
use crate::deadline::ExtendDeadline;
use crate::header_names::COMMON;

/// The version of the specification of the messages that is kept to.
const SPEC_VERSION: &str = "2.5";

/// Which kind of scope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    WebSocket,
}

/// Makes scopes.
pub(super) struct Scopes {
    http: Py<PyDict>,
    websocket: Py<PyDict>,
    http_extensions: Py<PyDict>,
    websocket_extensions: Py<PyDict>,
    asgi: Py<PyDict>,
    names: FxHashMap<HeaderName, Py<PyBytes>>,
    root_path: String,
}

/// What a connection keeps in its notes: the templates with the connection's addresses filled in.
pub(super) struct ConnectionTemplates {
    http: Py<PyDict>,
    websocket: Py<PyDict>,
}

impl ConnectionTemplates {
    fn of(&self, kind: Kind) -> &Py<PyDict> {
        match kind {
            Kind::Http => &self.http,
            Kind::WebSocket => &self.websocket,
        }
    }
}

impl Scopes {
    /// Makes the templates. `root_path` is the prefix under which the application is reached; empty for none.
    pub(super) fn new(py: Python<'_>, root_path: &str) -> PyResult<Self> {
        let names = COMMON
            .iter()
            .map(|name| (HeaderName::from_static(name), PyBytes::new(py, name.as_bytes()).unbind()));
        let asgi = PyDict::new(py);
        asgi.set_item(intern!(py, "version"), intern!(py, "3.0"))?;
        asgi.set_item(intern!(py, "spec_version"), PyString::intern(py, SPEC_VERSION))?;
        let http_extensions = PyDict::new(py);
        http_extensions.set_item(intern!(py, "http.response.early_hint"), PyDict::new(py))?;
        http_extensions.set_item(intern!(py, "http.response.informational"), PyDict::new(py))?;
        let websocket_extensions = PyDict::new(py);
        websocket_extensions.set_item(intern!(py, "websocket.http.response"), PyDict::new(py))?;
        Ok(Self {
            http: template(py, "http", root_path)?.unbind(),
            websocket: template(py, "websocket", root_path)?.unbind(),
            http_extensions: http_extensions.unbind(),
            websocket_extensions: websocket_extensions.unbind(),
            asgi: asgi.unbind(),
            names: names.collect(),
            root_path: root_path.to_owned(),
        })
    }

    /// The scope of a lifespan.
    pub(super) fn lifespan<'py>(&self, state: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        let py = state.py();
        let scope = PyDict::new(py);
        scope.set_item(intern!(py, "type"), intern!(py, "lifespan"))?;
        let asgi = self.asgi.bind(py).copy()?;
        asgi.set_item(intern!(py, "spec_version"), "2.0")?;
        scope.set_item(intern!(py, "asgi"), asgi)?;
        scope.set_item(intern!(py, "state"), state)?;
        Ok(scope)
    }

    /// The scope of a request. `state` is what the lifespan left for requests, if the application has one.
    pub(super) fn request<'py>(
        &self,
        py: Python<'py>,
        kind: Kind,
        request: &Request,
        state: Option<&Py<PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let scope = self.of_connection(py, &request.connection, kind)?.copy()?;
        let head = &request.head;
        let trailers = kind == Kind::Http && takes_trailers(&head.headers);
        if trailers || request.deadline.is_some() {
            scope.set_item(intern!(py, "extensions"), self.extensions(py, kind, trailers, request)?)?;
        }
        if head.method != Method::GET && kind == Kind::Http {
            scope.set_item(intern!(py, "method"), head.method.as_str())?;
        }
        if head.version == Version::HTTP_10 {
            scope.set_item(intern!(py, "http_version"), intern!(py, "1.0"))?;
        }
        if request.scheme == Scheme::Https {
            let scheme = if kind == Kind::Http { intern!(py, "https") } else { intern!(py, "wss") };
            scope.set_item(intern!(py, "scheme"), scheme)?;
        }
        self.set_target(&scope, request)?;
        scope.set_item(intern!(py, "headers"), self.headers(py, &head.headers)?)?;
        if let Some(client) = request.client {
            scope.set_item(intern!(py, "client"), (client.to_string(), 0))?;
        }
        if let Some(state) = state {
            scope.set_item(intern!(py, "state"), state.bind(py).copy()?)?;
        }
        if let Some(offer) = &request.websocket {
            scope.set_item(intern!(py, "subprotocols"), &offer.subprotocols)?;
        }
        Ok(scope)
    }

    /// The extensions of a request that has others than its connection.
    fn extensions<'py>(
        &self,
        py: Python<'py>,
        kind: Kind,
        trailers: bool,
        request: &Request,
    ) -> PyResult<Bound<'py, PyDict>> {
        let of_kind = if kind == Kind::Http { &self.http_extensions } else { &self.websocket_extensions };
        let extensions = of_kind.bind(py).copy()?;
        if trailers {
            extensions.set_item(intern!(py, "http.response.trailers"), PyDict::new(py))?;
        }
        if let Some(deadline) = &request.deadline {
            let entry = PyDict::new(py);
            entry.set_item(intern!(py, "extend"), Bound::new(py, ExtendDeadline::new(deadline))?)?;
            extensions.set_item(intern!(py, "ferricorn.deadline"), entry)?;
        }
        Ok(extensions)
    }

    fn set_target(&self, scope: &Bound<'_, PyDict>, request: &Request) -> PyResult<()> {
        let py = scope.py();
        let path = request.path();
        let prefix = self.missing_prefix(path);
        if prefix.is_empty() {
            scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, path))?;
            scope.set_item(intern!(py, "path"), decoded(py, path))?;
        } else {
            let path = [prefix.as_bytes(), path].concat();
            scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, &path))?;
            scope.set_item(intern!(py, "path"), decoded(py, &path))?;
        }
        let query = request.query();
        if !query.is_empty() {
            scope.set_item(intern!(py, "query_string"), PyBytes::new(py, query))?;
        }
        Ok(())
    }

    /// The specification wants the path to begin with the root path. A proxy may have taken it off.
    fn missing_prefix(&self, path: &[u8]) -> &str {
        let root = self.root_path.as_bytes();
        match path.strip_prefix(root) {
            Some(rest) if root.is_empty() || rest.is_empty() || rest[0] == b'/' => "",
            _ => &self.root_path,
        }
    }

    fn headers<'py>(&self, py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
        let pairs = headers.iter().map(|(name, value)| {
            let value = PyBytes::new(py, value.as_bytes());
            match self.names.get(name) {
                Some(name) => PyTuple::new(py, [name.bind(py).clone(), value]),
                None => PyTuple::new(py, [PyBytes::new(py, name.as_str().as_bytes()), value]),
            }
        });
        let list = PyList::empty(py);
        for pair in pairs {
            list.append(pair?)?;
        }
        Ok(list)
    }

    /// The template of a connection, made at its first request.
    fn of_connection<'a, 'py>(
        &'a self,
        py: Python<'py>,
        connection: &'a Connection,
        kind: Kind,
    ) -> PyResult<&'a Bound<'py, PyDict>> {
        let Some(notes) = Notes::of(connection) else {
            // At the price of the addresses.
            return Ok(if kind == Kind::Http { &self.http } else { &self.websocket }.bind(py));
        };
        let templates = match notes.templates.get() {
            Some(templates) => templates,
            None => {
                let made = self.fill(py, connection)?;
                notes.templates.get_or_init(|| made)
            }
        };
        Ok(templates.of(kind).bind(py))
    }

    /// The templates with a connection's addresses.
    fn fill(&self, py: Python<'_>, connection: &Connection) -> PyResult<ConnectionTemplates> {
        let (http, websocket) = (self.http.bind(py).copy()?, self.websocket.bind(py).copy()?);
        for (template, extensions) in
            [(&http, &self.http_extensions), (&websocket, &self.websocket_extensions)]
        {
            set_addresses(template, connection)?;
            // What changes them changes at most its own connection's.
            template.set_item(intern!(py, "asgi"), self.asgi.bind(py).copy()?)?;
            template.set_item(intern!(py, "extensions"), extensions.bind(py).copy()?)?;
        }
        Ok(ConnectionTemplates { http: http.unbind(), websocket: websocket.unbind() })
    }
}

/// The scope of a plain `GET` without headers.
fn template<'py>(py: Python<'py>, kind: &str, root_path: &str) -> PyResult<Bound<'py, PyDict>> {
    let scope = PyDict::new(py);
    let set = |key: &str, value: Bound<'py, PyAny>| scope.set_item(PyString::intern(py, key), value);
    let text = |text: &str| PyString::intern(py, text).into_any();
    set("type", text(kind))?;
    set("asgi", py.None().into_bound(py))?;
    set("http_version", text("1.1"))?;
    if kind == "http" {
        set("method", text("GET"))?;
        set("scheme", text("http"))?;
    } else {
        set("scheme", text("ws"))?;
        set("subprotocols", py.None().into_bound(py))?;
    }
    set("path", text("/"))?;
    set("raw_path", PyBytes::new(py, b"/").into_any())?;
    set("query_string", PyBytes::new(py, b"").into_any())?;
    set("root_path", text(root_path))?;
    set("headers", py.None().into_bound(py))?;
    set("client", py.None().into_bound(py))?;
    set("server", py.None().into_bound(py))?;
    set("extensions", py.None().into_bound(py))?;
    Ok(scope)
}

fn set_addresses(scope: &Bound<'_, PyDict>, connection: &Connection) -> PyResult<()> {
    let py = scope.py();
    match &connection.local {
        Local::Tcp(local) => scope.set_item(intern!(py, "server"), pair(local))?,
        Local::Unix(path) => scope.set_item(intern!(py, "server"), (path.to_string_lossy(), py.None()))?,
    }
    if let Some(peer) = &connection.peer {
        scope.set_item(intern!(py, "client"), pair(peer))?;
    }
    Ok(())
}

fn pair(address: &SocketAddr) -> (String, u16) {
    (address.ip().to_string(), address.port())
}

/// The path with its percent-encodings decoded. What is no UTF-8 becomes the replacement character.
fn decoded<'py>(py: Python<'py>, path: &[u8]) -> Bound<'py, PyString> {
    if path.contains(&b'%') {
        let decoded: Vec<u8> = percent_decode(path).collect();
        PyString::new(py, &String::from_utf8_lossy(&decoded))
    } else {
        PyString::new(py, &String::from_utf8_lossy(path))
    }
}

/// Whether the client takes trailers (RFC 9110 section 6.5.1).
fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get(header::TE)
        .and_then(|te| te.to_str().ok())
        .is_some_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}
