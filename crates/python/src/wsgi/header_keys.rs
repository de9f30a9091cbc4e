//! Ready-made environ keys for common header names.

use http::HeaderName;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rustc_hash::FxHashMap;

use crate::header_names::COMMON;

/// The table from header names to environ keys.
pub(super) struct HeaderKeys(FxHashMap<HeaderName, Py<PyString>>);

impl HeaderKeys {
    pub(super) fn new(py: Python<'_>) -> Self {
        let keys = COMMON.iter().map(|name| {
            let key = PyString::intern(py, &environ_key(name)).unbind();
            (HeaderName::from_static(name), key)
        });
        Self(keys.collect())
    }

    /// The key of a common header.
    #[inline]
    pub(super) fn get(&self, name: &HeaderName) -> Option<&Py<PyString>> {
        self.0.get(name)
    }
}

/// The environ key of a header: `HTTP_` and the name in capitals, except for the two that CGI names otherwise.
pub(super) fn environ_key(name: &str) -> String {
    match name {
        "content-type" => "CONTENT_TYPE".to_owned(),
        "content-length" => "CONTENT_LENGTH".to_owned(),
        _ => {
            let mut key = String::with_capacity("HTTP_".len() + name.len());
            key.push_str("HTTP_");
            key.extend(name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_uppercase() }));
            key
        }
    }
}
