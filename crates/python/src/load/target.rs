//! The syntax in which an application is named: `module`, `module:name` or `module:factory("x", y=1)`.

use std::path::Path;

use ferricorn_protocol::LoadError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::unusable;

/// What `module` alone means.
const DEFAULT_OBJECT: &str = "application";

/// Names under which an application is often found.
const USUAL_NAMES: [&str; 4] = ["application", "app", "create_app", "make_app"];

/// An application's name, taken apart.
pub(super) struct Target<'py> {
    pub(super) module: String,
    pub(super) object: Object<'py>,
}

/// What to look up in the module.
pub(super) enum Object<'py> {
    /// The application itself.
    Name(String),
    /// A function that makes it, and what to call it with.
    Call { name: String, args: Bound<'py, PyTuple>, kwargs: Bound<'py, PyDict> },
}

impl Object<'_> {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Call { name, .. } => name,
        }
    }
}

impl<'py> Target<'py> {
    /// Takes a name apart, with Python's own parser.
    pub(super) fn parse(py: Python<'py>, text: &str) -> Result<Self, LoadError> {
        if text.is_empty() {
            return Err(unusable("No application module specified.".to_owned()));
        }
        let (module, object) = text.split_once(':').unwrap_or((text, DEFAULT_OBJECT));
        if module.is_empty() {
            return Err(unusable(format!("The app '{text}' names no module: write it as module:attribute.")));
        }
        let object = parse_object(py, object).unwrap_or_else(|_| {
            Err(format!("Failed to parse '{object}' as an attribute name or function call."))
        });
        Ok(Self { module: module.to_owned(), object: object.map_err(unusable)? })
    }
}

/// The outer error is Python's, of an expression that does not parse; the inner one says what is not allowed.
fn parse_object<'py>(py: Python<'py>, text: &str) -> PyResult<Result<Object<'py>, String>> {
    let ast = py.import("ast")?;
    let options = PyDict::new(py);
    options.set_item("mode", "eval")?;
    let body = ast.call_method("parse", (text,), Some(&options))?.getattr("body")?;
    if body.is_instance(&ast.getattr("Name")?)? {
        return Ok(Ok(Object::Name(body.getattr("id")?.extract()?)));
    }
    if !body.is_instance(&ast.getattr("Call")?)? {
        return Ok(Err(format!("Failed to parse '{text}' as an attribute name or function call.")));
    }
    let function = body.getattr("func")?;
    if !function.is_instance(&ast.getattr("Name")?)? {
        return Ok(Err(format!("Function reference must be a simple name: '{text}'")));
    }
    let name = function.getattr("id")?.extract()?;
    Ok(match arguments(&ast, &body) {
        Ok((args, kwargs)) => Ok(Object::Call { name, args, kwargs }),
        Err(_) => Err(format!("Failed to parse arguments as literal values: '{text}'")),
    })
}

fn arguments<'py>(
    ast: &Bound<'py, PyModule>,
    call: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
    let literal = |node: Bound<'py, PyAny>| ast.call_method1("literal_eval", (node,));
    let mut args = Vec::new();
    for node in call.getattr("args")?.try_iter()? {
        args.push(literal(node?)?);
    }
    let kwargs = PyDict::new(ast.py());
    for keyword in call.getattr("keywords")?.try_iter()? {
        let keyword = keyword?;
        // Of `**x` the name is None, which is no string.
        let name: String = keyword.getattr("arg")?.extract()?;
        kwargs.set_item(name, literal(keyword.getattr("value")?)?)?;
    }
    Ok((PyTuple::new(ast.py(), args)?, kwargs))
}

/// The module that is meant by a path such as `pkg/app.py`, if there is such a file.
pub(super) fn of_path(directory: &Path, module: &str) -> Option<String> {
    let stem = module.strip_suffix(".py")?;
    directory.join(module).is_file().then(|| stem.trim_start_matches("./").replace('/', "."))
}

/// A name that may have been meant.
pub(super) fn hint(module: &Bound<'_, PyModule>, name: &str) -> String {
    let usual =
        USUAL_NAMES.iter().find(|usual| module.getattr(**usual).is_ok_and(|object| object.is_callable()));
    usual.map_or_else(String::new, |usual| format!(" Did you mean '{name}:{usual}'?"))
}
