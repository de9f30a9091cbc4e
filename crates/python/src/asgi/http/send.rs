//! `send()` of an HTTP response.

use std::sync::Arc;

use bytes::Bytes;
use ferricorn_protocol::Head;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::exchange::Exchange;
use super::fields::{add_trailer_field, other_fields, response_fields};
use crate::asgi::awaitable::{awaitable, done};
use crate::asgi::call::Exchange as _;
use crate::asgi::message::{bytes_or_empty, data, field, flag, kind, wrong};
use crate::asgi::unsendable::Unsendable;
use crate::fields::repr;
use crate::hint;

/// Sends a message; gives an awaitable.
///
/// # Errors
/// What the message is wrong in, or that the client has left.
pub(super) fn message<'py>(
    exchange: &Arc<Exchange>,
    message: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = message.py();
    let kind = kind(message)?;
    let name = kind.to_str()?;
    let sent = match name {
        "http.response.body" => {
            let body = data(message, name, intern!(py, "body"))?;
            // A type and a body: there is nothing else to look for.
            let alone = message.len() == 2 && !body.is_empty();
            match exchange.body(body, !alone && flag(message, intern!(py, "more_body"))?) {
                Ok(true) => Ok(()),
                Ok(false) => return room(py, exchange),
                Err(why) => Err(why),
            }
        }
        "http.response.start" => {
            let trailers = flag(message, intern!(py, "trailers"))?;
            let head = response_head(message, trailers).map_err(|error| wrong(py, name, error))?;
            exchange.begin(head, trailers)
        }
        "http.response.trailers" => {
            let fields = match field(message, intern!(py, "headers"))? {
                Some(fields) => other_fields(&fields).map_err(|error| wrong(py, name, error))?,
                None => HeaderMap::new(),
            };
            exchange.trailers(fields, flag(message, intern!(py, "more_trailers"))?)
        }
        "http.response.early_hint" | "http.response.informational" => {
            let fields = early_hint(message, name).map_err(|error| wrong(py, name, error))?;
            send_hint(exchange, &fields)
        }
        other => {
            return Err(PyValueError::new_err(format!(
                "{other:?} is not the type of a message of an HTTP response"
            )));
        }
    };
    match sent {
        Ok(()) => done(py),
        Err(why) => Err(why.refusal(name)),
    }
}

fn send_hint(exchange: &Exchange, fields: &HeaderMap) -> Result<(), Unsendable> {
    if exchange.is_gone() {
        return Err(Unsendable::Gone);
    }
    if !exchange.is_fresh() {
        return Err(Unsendable::Order("the response has been started already"));
    }
    if let Some(hints) = &exchange.hints {
        hints.hint(fields);
    }
    Ok(())
}

/// An awaitable of room for another piece.
fn room<'py>(py: Python<'py>, exchange: &Arc<Exchange>) -> PyResult<Bound<'py, PyAny>> {
    awaitable(py, &exchange.agenda, exchange, |exchange, _py, cx| {
        exchange.poll_room(cx).map_ok(|()| None).map_err(|why| why.refusal("http.response.body"))
    })
}

/// Status and headers of a response.
///
/// # Errors
/// `TypeError` or `ValueError`, if HTTP cannot carry them.
pub(in crate::asgi) fn response_head(message: &Bound<'_, PyDict>, trailers: bool) -> PyResult<Head> {
    let py = message.py();
    let Some(status) = field(message, intern!(py, "status"))? else {
        return Err(PyValueError::new_err("it has no \"status\""));
    };
    let number = match status.extract::<u16>() {
        Ok(number) => Some(number),
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => None,
        Err(error) => return Err(error),
    };
    let final_status = number
        .and_then(|number| StatusCode::from_u16(number).ok())
        .filter(|status| !status.is_informational());
    let Some(status) = final_status else {
        let told = repr(&status);
        return Err(PyValueError::new_err(format!("the status {told} is not that of a final response")));
    };
    let mut headers = HeaderMap::new();
    if let Some(fields) = field(message, intern!(py, "headers"))? {
        headers = response_fields(&fields)?;
        if trailers {
            add_trailer_field(&mut headers, &fields)?;
        }
    }
    if trailers && !headers.contains_key(header::TRAILER) {
        tracing::warn!(
            "A response announces trailers without a Trailer header that names them; they are not sent"
        );
    }
    Ok(Head { status, reason: None, headers })
}

/// The headers of a 103: `links` (the extension `http.response.early_hint`), or `headers` under the status 103
/// (gunicorn's `http.response.informational`).
fn early_hint(message: &Bound<'_, PyDict>, name: &str) -> PyResult<HeaderMap> {
    let py = message.py();
    let mut map = HeaderMap::new();
    if name == "http.response.informational" {
        let status =
            field(message, intern!(py, "status"))?.map(|status| status.extract::<u16>()).transpose()?;
        if status != Some(103) {
            return Err(PyValueError::new_err("the only informational status that can be sent is 103"));
        }
        if let Some(fields) = field(message, intern!(py, "headers"))? {
            map = other_fields(&fields)?;
        }
    } else if let Some(links) = field(message, intern!(py, "links"))? {
        for link in links.try_iter()? {
            let link: Bytes = bytes_or_empty(&link?)?;
            let value = HeaderValue::from_maybe_shared(link)
                .map_err(|_| PyValueError::new_err("a link has a control character"))?;
            map.append(header::LINK, value);
        }
    }
    hint::fit(&mut map, "it is")?;
    Ok(map)
}
