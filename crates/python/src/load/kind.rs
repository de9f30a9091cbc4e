//! Tells WSGI applications from ASGI ones: by what is marked or written as `async`, else by how many arguments it takes.

use ferricorn_config::Interface;
use ferricorn_protocol::LoadError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFunction, PyTuple, PyType};

use super::unusable;
use crate::asgi::Calling;
use crate::fault::one_line;

/// How an application is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With an environ and `start_response` (PEP 3333).
    Wsgi,
    /// As ASGI has it.
    Asgi(Calling),
}

impl Kind {
    /// The kind of an application that was found under this name, if it is of the demanded one. A callable that
    /// hides what it takes, behind `*args` or in C, counts as WSGI unless told otherwise.
    ///
    /// # Errors
    /// It is not of the demanded kind, or of none.
    pub fn of(app: &Bound<'_, PyAny>, name: &str, interface: Interface) -> Result<Self, LoadError> {
        let shape = Shape::of(app).map_err(|error| {
            unusable(format!("'{name}' cannot be looked at: {}", one_line(app.py(), &error)))
        })?;
        let kind = match interface {
            Interface::Auto => shape.kind(),
            Interface::Wsgi => shape.as_wsgi().then_some(Self::Wsgi),
            Interface::Asgi => shape.as_asgi().map(Self::Asgi),
        };
        kind.ok_or_else(|| unusable(shape.complaint(name, interface)))
    }
}

/// What can be seen of a callable without calling it.
struct Shape {
    is_class: bool,
    /// Whether it is a plain function or a class, which may make applications.
    may_make: bool,
    /// asgiref's marks, which settle the matter.
    mark: Option<Calling>,
    /// Whether its call gives something to await.
    is_async: bool,
    /// The same of what its decorators hide, if that takes scope, receive and send.
    hides_async: bool,
    /// For a class: how its instances are called with receive and send, or with the scope as well.
    instances: Option<Calling>,
    /// How many arguments it takes, from none to three; `None` if nobody knows.
    takes: Option<[bool; 4]>,
    /// Whether the first argument is called `scope`.
    takes_scope: bool,
}

impl Shape {
    fn of(app: &Bound<'_, PyAny>) -> PyResult<Self> {
        let look = Inspector::new(app.py())?;
        let class = app.cast::<PyType>().ok();
        let call = app.getattr("__call__")?;
        let is_async = match class {
            Some(class) => class.hasattr("__await__")?,
            None => look.is_coroutine_function(app)? || look.is_coroutine_function(&call)?,
        };
        let instances = match class {
            Some(class) => look.calling_of_instances(class)?,
            None => None,
        };
        let takes = look.takes(app, false);
        // Decorators often take `*args`, whatever it is that they decorate.
        let hides_async = takes == Some([true; 4])
            && look.takes(app, true) == Some([false, false, false, true])
            && (look.is_coroutine_function(&look.unwrap(app)?)?
                || look.is_coroutine_function(&look.unwrap(&call)?)?);
        let marked =
            |mark: &str| app.getattr(mark).is_ok_and(|value| value.extract::<bool>().unwrap_or(false));
        Ok(Self {
            is_class: class.is_some(),
            may_make: class.is_some() || app.is_instance_of::<PyFunction>(),
            mark: if marked("_asgi_single_callable") {
                Some(Calling::Single)
            } else {
                marked("_asgi_double_callable").then_some(Calling::Double)
            },
            is_async,
            hides_async,
            instances,
            takes,
            takes_scope: look.first_argument(app).is_some_and(|name| name == "scope"),
        })
    }

    fn kind(&self) -> Option<Kind> {
        if let Some(calling) = self.mark {
            return Some(Kind::Asgi(calling));
        }
        if self.is_async || self.hides_async {
            return self.takes(3).then_some(Kind::Asgi(Calling::Single));
        }
        if self.is_class && self.instances == Some(Calling::Single) {
            return None;
        }
        match self.takes {
            Some([_, true, _, _]) if self.instances == Some(Calling::Double) => {
                Some(Kind::Asgi(Calling::Double))
            }
            None | Some([_, _, true, _]) => Some(Kind::Wsgi),
            Some([_, _, _, true]) if !self.is_class => Some(Kind::Asgi(Calling::Single)),
            Some([false, true, _, _]) if self.takes_scope => Some(Kind::Asgi(Calling::Double)),
            _ => None,
        }
    }

    fn as_wsgi(&self) -> bool {
        self.mark.is_none() && !self.is_async && self.takes(2)
    }

    fn as_asgi(&self) -> Option<Calling> {
        if self.mark.is_some() {
            return self.mark;
        }
        if self.takes(3) && self.instances.is_none() {
            return Some(Calling::Single);
        }
        (self.takes(1) && !self.is_async && self.instances != Some(Calling::Single))
            .then_some(Calling::Double)
    }

    fn takes(&self, arguments: usize) -> bool {
        self.takes.is_none_or(|takes| takes[arguments])
    }

    /// What is wrong with it, and what to do.
    fn complaint(&self, name: &str, interface: Interface) -> String {
        match (interface, self.kind()) {
            (Interface::Wsgi, Some(Kind::Asgi(_))) => {
                return format!("'{name}' is an ASGI application: remove --interface wsgi.");
            }
            (Interface::Asgi, Some(Kind::Wsgi)) => {
                return format!(
                    "'{name}' is a WSGI application: remove --interface asgi, or the worker class that stands for it."
                );
            }
            _ => {}
        }
        let called = if name.contains(':') { name.to_owned() } else { format!("{name}:application") };
        let hint = match (self.takes, self.may_make && !called.ends_with(')')) {
            (Some([true, ..]), true) => format!("; if it makes the application, write '{called}()'"),
            (Some(_), true) => {
                format!("; if it makes the application, write '{called}(...)' with what it needs")
            }
            _ => String::new(),
        };
        let cannot = match interface {
            Interface::Auto => {
                "can be called neither as a WSGI application, with (environ, start_response), nor as an ASGI \
                 application, with (scope, receive, send)"
            }
            Interface::Wsgi => "cannot be called as a WSGI application, with (environ, start_response)",
            Interface::Asgi => "cannot be called as an ASGI application, with (scope, receive, send)",
        };
        format!("'{name}' {cannot}{hint}.")
    }
}

/// The standard library's eyes.
struct Inspector<'py> {
    inspect: Bound<'py, PyModule>,
    is_coroutine_function: Bound<'py, PyAny>,
    options: Bound<'py, PyDict>,
}

impl<'py> Inspector<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        let inspect = py.import("inspect")?;
        let options = PyDict::new(py);
        let version = py.version_info();
        // Before 3.12 what is marked as a coroutine function bears asyncio's mark, which only its own test knows.
        let marked = version < (3, 12) && py.import("sys")?.getattr("modules")?.contains("asyncio")?;
        let is_coroutine_function = match marked {
            true => py.import("asyncio")?.getattr("iscoroutinefunction")?,
            false => inspect.getattr("iscoroutinefunction")?,
        };
        // From 3.14 on annotations are evaluated when they are asked for, and may name what does not exist.
        if version >= (3, 14) {
            let text = py.import("annotationlib")?.getattr("Format")?.getattr("STRING")?;
            options.set_item("annotation_format", text)?;
        }
        Ok(Self { inspect, is_coroutine_function, options })
    }

    fn is_coroutine_function(&self, object: &Bound<'py, PyAny>) -> PyResult<bool> {
        self.is_coroutine_function.call1((object,))?.is_truthy()
    }

    /// What is below all decorators that say what they decorate.
    fn unwrap(&self, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.inspect.call_method1("unwrap", (object,))
    }

    /// Which numbers of arguments it takes, from 0 to 3; `None` if it does not tell.
    fn takes(&self, object: &Bound<'py, PyAny>, unwrapped: bool) -> Option<[bool; 4]> {
        let bind = self.signature(object, unwrapped)?.getattr("bind").ok()?;
        let py = object.py();
        Some([0, 1, 2, 3].map(|count| {
            PyTuple::new(py, std::iter::repeat_n(false, count))
                .is_ok_and(|arguments| bind.call1(arguments).is_ok())
        }))
    }

    fn first_argument(&self, object: &Bound<'py, PyAny>) -> Option<String> {
        let names = self.signature(object, false)?.getattr("parameters").ok()?;
        names.try_iter().ok()?.next()?.ok()?.extract().ok()
    }

    fn signature(&self, object: &Bound<'py, PyAny>, unwrapped: bool) -> Option<Bound<'py, PyAny>> {
        let options = self.options.copy().ok()?;
        options.set_item("follow_wrapped", unwrapped).ok()?;
        self.inspect.call_method("signature", (object,), Some(&options)).ok()
    }

    /// How instances of a class are called, if it is with a coroutine function.
    fn calling_of_instances(&self, class: &Bound<'py, PyType>) -> PyResult<Option<Calling>> {
        let Ok(call) = class.getattr("__call__") else { return Ok(None) };
        if !self.is_coroutine_function(&call)? {
            return Ok(None);
        }
        // One more than an instance takes: itself.
        let takes = self.takes(&call, false);
        Ok(Some(if takes.is_some_and(|takes| takes[3]) { Calling::Double } else { Calling::Single }))
    }
}
