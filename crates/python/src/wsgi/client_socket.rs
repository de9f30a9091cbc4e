//! `gunicorn.socket`: the client's connection, for an application that asks about it, or goes on with it alone.
//!
//! One object serves all requests of a connection, so that an ordinary request pays nothing for it. It finds the request
//! that it is used for, until the application has taken the connection over. To ask is not to take: that happens with the
//! first call that moves bytes, or the socket itself.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ferricorn_protocol::{Connection, Taken};
use pyo3::exceptions::{PyAttributeError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::outlet::Outlet;
use super::start_response::StartResponse;
use super::turn::Meant;

/// See the module's first line.
#[pyclass(module = "ferricorn", frozen)]
pub(super) struct ClientSocket {
    connection: Weak<Connection>,
    meant: Meant,
    /// The application's own socket, once it has taken the connection over.
    own: PyOnceLock<Py<PyAny>>,
    /// Dropped when that is closed.
    lease: Mutex<Option<Box<dyn Send + Sync>>>,
    /// The timeout that the socket is to have then; none if it is to wait for ever.
    timeout: Mutex<Option<Py<PyAny>>>,
}

/// A method of the socket, which is looked for when it is called.
#[pyclass(module = "ferricorn", frozen)]
struct Method {
    socket: Py<ClientSocket>,
    name: Py<PyString>,
}

impl ClientSocket {
    /// For the requests of a connection.
    pub(super) fn new(connection: &Arc<Connection>, meant: Meant) -> Self {
        Self {
            connection: Arc::downgrade(connection),
            meant,
            own: PyOnceLock::new(),
            lease: Mutex::default(),
            timeout: Mutex::default(),
        }
    }

    fn call<'py>(
        &self,
        name: &Bound<'py, PyString>,
        arguments: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        let own = match self.own.get(py) {
            Some(own) => own.bind(py),
            None => match name.to_str()? {
                "getpeername" | "getsockname" | "getsockopt" | "setsockopt" | "shutdown" => {
                    let seen = self.look(py)?;
                    let result = seen.call_method(name, arguments, keywords);
                    seen.call_method0(intern!(py, "close"))?;
                    return result;
                }
                "fileno" => {
                    return self.number(py)?.into_pyobject(py).map(Bound::into_any).map_err(PyErr::from);
                }
                "gettimeout" => return Ok(self.timeout(py)),
                "getblocking" => {
                    let timeout = self.timeout(py);
                    let blocks = timeout.is_none() || timeout.is_truthy()?;
                    return Ok(blocks.into_pyobject(py)?.to_owned().into_any());
                }
                "settimeout" if arguments.len() == 1 => return self.set_timeout(&arguments.get_item(0)?),
                "setblocking" if arguments.len() == 1 => {
                    let blocks = arguments.get_item(0)?.is_truthy()?;
                    let timeout =
                        if blocks { py.None() } else { 0_f64.into_pyobject(py)?.into_any().unbind() };
                    return self.set_timeout(timeout.bind(py));
                }
                _ => self.take(py)?,
            },
        };
        let result = own.call_method(name, arguments, keywords);
        if matches!(name.to_str()?, "close" | "detach") {
            self.settle(own)?;
        }
        result
    }

    /// Lets the server end the connection, if the application's socket is closed. While there is a file of it, from
    /// `makefile`, it is not.
    fn settle(&self, own: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = own.py();
        let number: i64 = own.call_method0(intern!(py, "fileno"))?.extract()?;
        if number == -1 {
            let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).take();
            match self.meant {
                Meant::ByThread => py.detach(|| drop(lease)),
                // Greenlets never detach.
                Meant::ByConnection(_) => drop(lease),
            }
        }
        Ok(())
    }

    /// The request that it is used for, if it came on this connection; and what can be done for it.
    fn request<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, StartResponse>, Outlet)> {
        let found = self.meant.start(py).and_then(|start| {
            let outlet = start.borrow().outlet().another();
            outlet.is_of(self.connection.as_ptr()).then_some((start, outlet))
        });
        found.ok_or_else(|| {
            PyRuntimeError::new_err(
                "gunicorn.socket can be used while the application is called for a request of this connection, and at \
                 first by the thread that is called",
            )
        })
    }

    /// A socket to ask the kernel about the connection; to be closed after that.
    fn look<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (_, outlet) = self.request(py)?;
        python_socket(py, outlet.look()?)
    }

    /// The number of a descriptor of the connection, which is open until the call returns.
    fn number(&self, py: Python<'_>) -> PyResult<i32> {
        let (start, outlet) = self.request(py)?;
        let mut start = start.borrow_mut();
        if let Some(seen) = start.seen() {
            return Ok(seen.as_raw_fd());
        }
        let seen = outlet.look()?;
        Ok(start.keep(seen).as_raw_fd())
    }

    /// Takes the connection over.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let (start, outlet) = self.request(py)?;
        let Taken { descriptor, lease } = outlet.take_over(py)?;
        start.borrow_mut().taken();
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).replace(lease);
        let own = python_socket(py, descriptor)?;
        own.call_method1(intern!(py, "settimeout"), (self.timeout(py),))?;
        Ok(self.own.get_or_init(py, || own.unbind()).bind(py))
    }

    fn timeout<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        let timeout = self.timeout.lock().unwrap_or_else(PoisonError::into_inner);
        timeout.as_ref().map_or_else(|| py.None(), |timeout| timeout.clone_ref(py)).into_bound(py)
    }

    fn set_timeout<'py>(&self, timeout: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = timeout.py();
        // A socket of no consequence tells what is wrong with it.
        let judge = socket_type(py)?.call0()?;
        judge.call_method1(intern!(py, "settimeout"), (timeout,))?;
        judge.call_method0(intern!(py, "close"))?;
        *self.timeout.lock().unwrap_or_else(PoisonError::into_inner) = Some(timeout.clone().unbind());
        Ok(py.None().into_bound(py))
    }
}

#[pymethods]
impl ClientSocket {
    /// To `isinstance` it is a socket.
    #[getter(__class__)]
    #[expect(clippy::unused_self, reason = "Python asks an object")]
    fn class<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyType>> {
        socket_type(py)
    }

    fn __getattr__<'py>(this: &Bound<'py, Self>, name: Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = this.py();
        let socket = this.get();
        let own = socket.own.get(py);
        match (name.to_str()?, own) {
            ("close" | "detach", Some(_)) => {}
            (_, Some(own)) => return own.bind(py).getattr(name),
            ("family" | "type" | "proto", None) => {
                let seen = socket.look(py)?;
                let value = seen.getattr(name);
                seen.call_method0(intern!(py, "close"))?;
                return value;
            }
            ("timeout", None) => return Ok(socket.timeout(py)),
            (name, None) if name.starts_with('_') => return Err(PyAttributeError::new_err(name.to_owned())),
            // It raises what a socket does that has no such attribute.
            (_, None) => drop(socket_type(py)?.getattr(&name)?),
        }
        let method = Method { socket: this.clone().unbind(), name: name.unbind() };
        Ok(Bound::new(py, method)?.into_any())
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.call(intern!(py, "close"), &PyTuple::empty(py), None).map(drop)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = if self.own.get(py).is_some() { "taken over" } else { "not taken over" };
        format!("<ferricorn client socket, {state}>")
    }
}

#[pymethods]
impl Method {
    #[pyo3(signature = (*arguments, **keywords))]
    fn __call__<'py>(
        &self,
        arguments: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = arguments.py();
        self.socket.get().call(self.name.bind(py), arguments, keywords)
    }
}

fn socket_type(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    static SOCKET: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    SOCKET.import(py, "socket", "socket").cloned()
}

/// A `socket.socket`, which owns the descriptor.
fn python_socket(py: Python<'_>, descriptor: OwnedFd) -> PyResult<Bound<'_, PyAny>> {
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "fileno"), descriptor.as_raw_fd())?;
    let socket = socket_type(py)?.call((), Some(&keywords))?;
    // It is Python's to close from now on.
    let _ = descriptor.into_raw_fd();
    Ok(socket)
}
