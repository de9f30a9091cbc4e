//! Code and constants that an import has made, and that workers neither count references to nor free.
//!
//! CPython counts in the object, so that a worker who only calls a function copies the page it lies on. An immortal object
//! (PEP 683) is counted no more, and its page stays one for all workers.

use std::collections::HashSet;

use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict, PyList, PyModule, PyTuple, PyType};

use crate::raw;

/// What is never freed here, so that nobody can wait for its end: a list that is dropped must let go of what it holds, and
/// an instance may have a destructor.
const KINDS: &[(&str, &[&str])] = &[
    (
        "types",
        &[
            "FunctionType",
            "CodeType",
            "BuiltinFunctionType",
            "MethodType",
            "CellType",
            "MethodDescriptorType",
            "WrapperDescriptorType",
            "ClassMethodDescriptorType",
            "GetSetDescriptorType",
            "MemberDescriptorType",
        ],
    ),
    (
        "builtins",
        &[
            "str",
            "bytes",
            "int",
            "float",
            "complex",
            "tuple",
            "frozenset",
            "property",
            "classmethod",
            "staticmethod",
        ],
    ),
];

/// How many objects are asked for their referents at once: a list for each of them would cost more than it holds.
const CHUNK: usize = 1024;

/// Makes immortal what there is now of code and constants. Call it when nothing of this program's own is about to be freed.
///
/// # Errors
/// What CPython raises; some of it may be immortal then.
pub(super) fn make(py: Python<'_>) -> PyResult<()> {
    let kinds = Kinds::new(py)?;
    let gc = py.import("gc")?;
    let referents = gc.getattr("get_referents")?;
    let tracked = gc.call_method0("get_objects")?.cast_into::<PyList>()?;
    let mut found: Vec<_> = tracked.iter().collect();
    for object in &found {
        kinds.make_lasting(object);
    }
    // From these to what the collector does not know, in waves: to strings, numbers, code, and to dicts and tuples of such.
    while !found.is_empty() {
        let mut next = Vec::new();
        for chunk in found.chunks(CHUNK) {
            let objects = referents.call1(PyTuple::new(py, chunk)?)?.cast_into::<PyList>()?;
            next.extend(objects.iter().filter(|object| {
                !raw::is_tracked(object)
                    && (kinds.make_lasting(object) || object.is_exact_instance_of::<PyDict>())
            }));
        }
        for code in found.iter().filter(|object| object.is_exact_instance_of::<PyCode>()) {
            // Code does not tell the collector what it holds.
            for part in ["co_consts", "co_names"] {
                let part = code.getattr(part)?;
                if kinds.make_lasting(&part) {
                    next.push(part);
                }
            }
        }
        found = next;
    }
    Ok(())
}

/// The types of what is made immortal.
struct Kinds(HashSet<usize>);

impl Kinds {
    fn new(py: Python<'_>) -> PyResult<Self> {
        let mut kinds = HashSet::new();
        for (module, names) in KINDS {
            let module = py.import(*module)?;
            for name in *names {
                kinds.insert(module.getattr(*name)?.as_ptr().addr());
            }
        }
        Ok(Self(kinds))
    }

    /// Makes an object immortal if it is of these types. Gives whether it was not before.
    fn make_lasting(&self, object: &Bound<'_, PyAny>) -> bool {
        let lasting = self.0.contains(&object.get_type_ptr().addr())
            || object.is_instance_of::<PyType>()
            || object.is_instance_of::<PyModule>();
        lasting && raw::make_immortal(object)
    }
}
