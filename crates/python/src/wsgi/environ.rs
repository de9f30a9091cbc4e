//! The environ of a request: a ready-made dictionary is copied, and what differs is set.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ferricorn_protocol::{AppFault, Connection, Local, Request, RequestBody, Scheme};
use http::{HeaderValue, Method, Version};
use percent_encoding::percent_decode;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::client_socket::ClientSocket;
use super::early_hints::EarlyHints;
use super::errors::{ErrorSink, Errors};
use super::file_wrapper::FileWrapper;
use super::header_keys::HeaderKeys;
use super::headers::set_headers;
use super::input::Input;
use super::turn::{Meant, Turn};
use crate::config_file::server_name;
use crate::fault::app_fault;
use crate::raw::latin1;

/// What `SERVER_SOFTWARE` says. Applications look for gunicorn's name in it, so it comes first.
const GUNICORN: &str = "gunicorn/27.0.1";
const OURS: &str = concat!("ferricorn/", env!("CARGO_PKG_VERSION"));
const SERVER_SOFTWARE: &str = concat!("gunicorn/27.0.1 ferricorn/", env!("CARGO_PKG_VERSION"));

/// What is the same for every request of a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// `wsgi.multithread`.
    pub(crate) multithread: bool,
    /// `wsgi.multiprocess`.
    pub(crate) multiprocess: bool,
    /// The prefix that is taken off the path (`SCRIPT_NAME`); empty for none.
    pub(crate) script_name: String,
    /// Whether there is a `gunicorn.socket`.
    pub(crate) shows_socket: bool,
    /// Whether greenlets answer the requests.
    pub(crate) greenlets: bool,
}

/// Makes environs.
pub struct EnvironFactory {
    template: Py<PyDict>,
    header_keys: HeaderKeys,
    script_name: String,
    shows_socket: bool,
    greenlets: bool,
}

/// What a connection keeps in its notes.
pub(super) struct ConnectionTemplate {
    /// The template with the connection's addresses filled in.
    environ: Py<PyDict>,
    /// The request that it is at, if greenlets answer.
    pub(super) turn: Option<Arc<Turn>>,
}

impl EnvironFactory {
    /// Makes the template, and with it what is the same in all workers, so that they can share it. What applications write
    /// to `wsgi.errors` goes to `errors`.
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn new(py: Python<'_>, errors: ErrorSink) -> PyResult<Self> {
        let template = template(py, errors)?.unbind();
        let Facts { script_name, shows_socket, greenlets, .. } = Facts::default();
        Ok(Self { template, header_keys: HeaderKeys::new(py), script_name, shows_socket, greenlets })
    }

    /// Makes the template that of a worker.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(super) fn tell(mut self, py: Python<'_>, facts: &Facts) -> PyResult<Self> {
        let Facts { multithread, multiprocess, script_name, shows_socket, greenlets } = facts;
        let template = self.template.bind(py);
        template.set_item(intern!(py, "wsgi.multithread"), multithread)?;
        template.set_item(intern!(py, "wsgi.multiprocess"), multiprocess)?;
        if !script_name.is_empty() {
            template.set_item(intern!(py, "SCRIPT_NAME"), latin1(py, script_name.as_bytes())?)?;
        }
        self.script_name.clone_from(script_name);
        self.shows_socket = *shows_socket;
        self.greenlets = *greenlets;
        Ok(self)
    }

    /// The environ of a request, whose body moves into `wsgi.input`.
    ///
    /// # Errors
    /// If the path lies outside `SCRIPT_NAME`; or for want of memory.
    pub fn build<'py>(&self, py: Python<'py>, request: &mut Request) -> Result<Bound<'py, PyDict>, AppFault> {
        let body = std::mem::replace(&mut request.body, RequestBody::Empty);
        self.fill(py, request, body).unwrap_or_else(|error| Err(app_fault(py, &error)))
    }

    /// The outer error is Python's; the inner one is the request's.
    fn fill<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        body: RequestBody,
    ) -> PyResult<Result<Bound<'py, PyDict>, AppFault>> {
        let environ = self.of_connection(py, &request.connection)?.copy()?;
        let sent = set_headers(&environ, &request.head.headers, &self.header_keys)?;
        let script_name = sent.map_or(self.script_name.as_bytes(), HeaderValue::as_bytes);
        if sent.is_some() {
            environ.set_item(intern!(py, "SCRIPT_NAME"), latin1(py, script_name)?)?;
        }
        let Some(path) = request.path().strip_prefix(script_name) else {
            return Ok(Err(outside(request.path(), script_name)));
        };
        set_target(&environ, request, path)?;
        if request.head.method != Method::GET {
            environ.set_item(intern!(py, "REQUEST_METHOD"), method(py, &request.head.method))?;
        }
        if request.head.version != Version::HTTP_11 || request.sent_version.is_some() {
            environ.set_item(intern!(py, "SERVER_PROTOCOL"), protocol(py, request))?;
        }
        if request.scheme == Scheme::Https {
            environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
        }
        if let Some(client) = request.client {
            set_client(&environ, client)?;
        }
        if !matches!(body, RequestBody::Empty) {
            environ.set_item(intern!(py, "wsgi.input"), Bound::new(py, Input::new(body)?)?)?;
        }
        if let Local::Unix(_) = request.connection.local {
            set_server_of_unix_socket(&environ, request)?;
        }
        Ok(Ok(environ))
    }

    /// The template of a connection, made at its first request.
    fn of_connection<'a, 'py>(
        &'a self,
        py: Python<'py>,
        connection: &'a Arc<Connection>,
    ) -> PyResult<&'a Bound<'py, PyDict>> {
        let noted = || connection.notes.get().and_then(|notes| notes.downcast_ref::<ConnectionTemplate>());
        if noted().is_none() {
            let template = self.template.bind(py).copy()?;
            set_addresses(&template, connection)?;
            let turn = self.greenlets.then(Arc::<Turn>::default);
            let meant = || turn.clone().map_or(Meant::ByThread, Meant::ByConnection);
            if self.shows_socket {
                let socket = Bound::new(py, ClientSocket::new(connection, meant()))?;
                template.set_item(intern!(py, "gunicorn.socket"), socket)?;
            }
            if self.greenlets {
                template.set_item(intern!(py, "wsgi.early_hints"), Bound::new(py, EarlyHints(meant()))?)?;
            }
            // Somebody else's note is left alone, at the price of the addresses; there is nobody else.
            let _ = connection.notes.set(Box::new(ConnectionTemplate { environ: template.unbind(), turn }));
        }
        Ok(noted().map_or(&self.template, |template| &template.environ).bind(py))
    }
}

fn outside(path: &[u8], script_name: &[u8]) -> AppFault {
    AppFault::new(format!(
        "Request path {:?} does not start with SCRIPT_NAME {:?}",
        String::from_utf8_lossy(path),
        String::from_utf8_lossy(script_name),
    ))
}

/// Sets what comes of the request-target, of which `path` is the path without `SCRIPT_NAME`.
fn set_target(environ: &Bound<'_, PyDict>, request: &Request, path: &[u8]) -> PyResult<()> {
    let py = environ.py();
    let target = request.target();
    let raw_uri = latin1(py, target)?;
    let path = if path.contains(&b'%') {
        latin1(py, &percent_decode(path).collect::<Vec<u8>>())?
    } else if path == target {
        // The usual target is nothing but a plain path, and one string serves for both.
        raw_uri.clone()
    } else {
        latin1(py, path)?
    };
    environ.set_item(intern!(py, "PATH_INFO"), path)?;
    environ.set_item(intern!(py, "RAW_URI"), raw_uri)?;
    let query = request.query();
    if !query.is_empty() {
        environ.set_item(intern!(py, "QUERY_STRING"), latin1(py, query)?)?;
    }
    Ok(())
}

/// The environ of a plain `GET` without headers.
fn template<'py>(py: Python<'py>, errors: ErrorSink) -> PyResult<Bound<'py, PyDict>> {
    let environ = PyDict::new(py);
    let set = |key: &str, value: Bound<'py, PyAny>| environ.set_item(PyString::intern(py, key), value);
    let text = |text: &str| PyString::intern(py, text).into_any();
    set("wsgi.version", PyTuple::new(py, [1, 0])?.into_any())?;
    set("wsgi.url_scheme", text("http"))?;
    set("wsgi.input", Bound::new(py, Input::empty())?.into_any())?;
    set("wsgi.input_terminated", true.into_pyobject(py)?.to_owned().into_any())?;
    set("wsgi.errors", Bound::new(py, Errors::new(errors))?.into_any())?;
    set("wsgi.multithread", false.into_pyobject(py)?.to_owned().into_any())?;
    set("wsgi.multiprocess", false.into_pyobject(py)?.to_owned().into_any())?;
    set("wsgi.run_once", false.into_pyobject(py)?.to_owned().into_any())?;
    set("wsgi.file_wrapper", py.get_type::<FileWrapper>().into_any())?;
    set("wsgi.early_hints", Bound::new(py, EarlyHints(Meant::ByThread))?.into_any())?;
    let given = server_name(py, "SERVER_SOFTWARE", &[GUNICORN, OURS])?;
    set("SERVER_SOFTWARE", text(given.as_deref().unwrap_or(SERVER_SOFTWARE)))?;
    set("SERVER_NAME", text(""))?;
    set("SERVER_PORT", text(""))?;
    set("REMOTE_ADDR", text(""))?;
    set("SCRIPT_NAME", text(""))?;
    set("REQUEST_METHOD", text("GET"))?;
    set("PATH_INFO", text("/"))?;
    set("QUERY_STRING", text(""))?;
    set("RAW_URI", text("/"))?;
    set("SERVER_PROTOCOL", text("HTTP/1.1"))?;
    reserve(&environ)?;
    Ok(environ)
}

/// Grows the dictionary's table beyond what it holds, because copies have the size of their original: without
/// this a request of three headers makes its environ grow, and hashes every key again.
fn reserve(environ: &Bound<'_, PyDict>) -> PyResult<()> {
    // A table of 32 slots takes 21 entries, and the next one doubles it.
    let fillers = 0..22usize.saturating_sub(environ.len());
    for filler in fillers.clone() {
        environ.set_item(filler, filler)?;
    }
    for filler in fillers {
        environ.del_item(filler)?;
    }
    Ok(())
}

fn set_addresses(environ: &Bound<'_, PyDict>, connection: &Connection) -> PyResult<()> {
    let py = environ.py();
    if let Local::Tcp(local) = &connection.local {
        environ.set_item(intern!(py, "SERVER_NAME"), host(local))?;
        environ.set_item(intern!(py, "SERVER_PORT"), local.port().to_string())?;
    }
    if let Some(peer) = &connection.peer {
        environ.set_item(intern!(py, "REMOTE_ADDR"), host(peer))?;
        environ.set_item(intern!(py, "REMOTE_PORT"), peer.port().to_string())?;
    }
    if let Some(proxied) = &connection.proxied {
        environ.set_item(intern!(py, "PROXY_PROTOCOL"), proxied.protocol)?;
        if let Some(destination) = &proxied.destination {
            environ.set_item(intern!(py, "PROXY_ADDR"), host(destination))?;
            environ.set_item(intern!(py, "PROXY_PORT"), destination.port().to_string())?;
        }
    }
    Ok(())
}

/// The client as a trusted proxy's header tells it. The port is the proxy's own, so it is not the client's.
fn set_client(environ: &Bound<'_, PyDict>, client: IpAddr) -> PyResult<()> {
    let py = environ.py();
    environ.set_item(intern!(py, "REMOTE_ADDR"), client.to_string())?;
    if environ.contains(intern!(py, "REMOTE_PORT"))? {
        environ.del_item(intern!(py, "REMOTE_PORT"))?;
    }
    Ok(())
}

fn host(address: &SocketAddr) -> String {
    address.ip().to_string()
}

/// A Unix socket has no host and port, so they come from the Host header, and the port from the scheme if it
/// has none. Without a Host the socket's path stands in, since PEP 3333 wants neither to be empty.
fn set_server_of_unix_socket(environ: &Bound<'_, PyDict>, request: &Request) -> PyResult<()> {
    let py = environ.py();
    let sent = request.head.headers.get(http::header::HOST).map(HeaderValue::as_bytes);
    let (name, port) = match sent {
        Some(host) if !host.is_empty() => split_host(host),
        _ => (unix_path(&request.connection.local), None),
    };
    let port = match (port, request.scheme) {
        (Some(port), _) => latin1(py, port)?,
        (None, Scheme::Http) => intern!(py, "80").clone(),
        (None, Scheme::Https) => intern!(py, "443").clone(),
    };
    environ.set_item(intern!(py, "SERVER_NAME"), latin1(py, name)?)?;
    environ.set_item(intern!(py, "SERVER_PORT"), port)
}

fn unix_path(local: &Local) -> &[u8] {
    match local {
        Local::Unix(path) if !path.as_os_str().is_empty() => path.as_os_str().as_encoded_bytes(),
        _ => b"localhost",
    }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_host(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    let name_end = host.iter().rposition(|&byte| byte == b']').unwrap_or(0);
    match host[name_end..].iter().position(|&byte| byte == b':') {
        Some(at) if name_end + at + 1 < host.len() => {
            (&host[..name_end + at], Some(&host[name_end + at + 1..]))
        }
        Some(at) => (&host[..name_end + at], None),
        None => (host, None),
    }
}

/// A request's method as Python has it.
pub(crate) fn method<'py>(py: Python<'py>, method: &Method) -> Bound<'py, PyString> {
    match *method {
        Method::GET => intern!(py, "GET").clone(),
        Method::POST => intern!(py, "POST").clone(),
        Method::HEAD => intern!(py, "HEAD").clone(),
        Method::PUT => intern!(py, "PUT").clone(),
        Method::PATCH => intern!(py, "PATCH").clone(),
        Method::DELETE => intern!(py, "DELETE").clone(),
        Method::OPTIONS => intern!(py, "OPTIONS").clone(),
        // A method is a token, so it is ASCII.
        _ => PyString::new(py, method.as_str()),
    }
}

fn protocol<'py>(py: Python<'py>, request: &Request) -> Bound<'py, PyString> {
    match (request.sent_version, request.head.version) {
        (Some((major, minor)), _) => PyString::new(py, &format!("HTTP/{major}.{minor}")),
        (None, Version::HTTP_10) => intern!(py, "HTTP/1.0").clone(),
        (None, Version::HTTP_2) => intern!(py, "HTTP/2.0").clone(),
        (None, _) => intern!(py, "HTTP/1.1").clone(),
    }
}
