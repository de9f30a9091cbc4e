//! A request's headers on their way into its environ.

use http::{HeaderMap, HeaderName, HeaderValue};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::header_keys::{HeaderKeys, environ_key};
use crate::raw::latin1;

/// The header with which a trusted proxy sets `SCRIPT_NAME`.
const SCRIPT_NAME: &str = "script_name";

/// Sets one key for each header name; the values of repeated headers are joined with a comma, as gunicorn does.
///
/// Gives back what the proxy says of `SCRIPT_NAME`, found here at no cost: a look-up would cost each request.
pub(super) fn set_headers<'a>(
    environ: &Bound<'_, PyDict>,
    headers: &'a HeaderMap,
    keys: &HeaderKeys,
) -> PyResult<Option<&'a HeaderValue>> {
    let py = environ.py();
    // `X_Name` has the key of `X-Name`. Such headers are rare (the server drops them unless it trusts the
    // peer), so only they pay for looking whether the key is taken; they come last.
    let mut underscored = Vec::new();
    let mut iter = headers.iter().peekable();
    while let Some((name, value)) = iter.next() {
        let repeated;
        let value = match iter.peek() {
            Some((next, _)) if *next == name => {
                repeated = join(name, value, &mut iter);
                latin1(py, &repeated)?
            }
            _ => latin1(py, value.as_bytes())?,
        };
        if let Some(key) = keys.get(name) {
            environ.set_item(key, value)?;
        } else if name.as_str().contains('_') {
            underscored.push((name, value));
        } else {
            environ.set_item(environ_key(name.as_str()), value)?;
        }
    }
    let mut script_name = None;
    for (name, value) in underscored {
        if name.as_str() == SCRIPT_NAME {
            script_name = headers.get(name);
        }
        add(environ, &environ_key(name.as_str()), value)?;
    }
    Ok(script_name)
}

/// Joins the values of one name, which the iterator gives one after the other.
fn join<'a>(
    name: &HeaderName,
    first: &HeaderValue,
    rest: &mut std::iter::Peekable<impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>>,
) -> Vec<u8> {
    let mut joined = first.as_bytes().to_vec();
    while let Some((_, value)) = rest.next_if(|(next, _)| *next == name) {
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    joined
}

fn add(environ: &Bound<'_, PyDict>, key: &str, value: Bound<'_, PyString>) -> PyResult<()> {
    match environ.get_item(key)? {
        Some(taken) => {
            let both = taken.add(",")?.add(value)?;
            environ.set_item(key, both)
        }
        None => environ.set_item(key, value),
    }
}
