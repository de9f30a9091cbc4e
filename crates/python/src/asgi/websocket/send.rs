//! `send()` of a WebSocket.

use std::sync::Arc;

use bytes::Bytes;
use ferricorn_protocol::Message;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::exchange::Exchange;
use crate::asgi::awaitable::{awaitable, done};
use crate::asgi::http::{other_fields, response_head};
use crate::asgi::message::{bytes_or_empty, data, field, flag, kind, wrong};

/// How many bytes the reason of a close frame may have (RFC 6455 section 5.5).
const LONGEST_REASON: usize = 123;

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
    let named = |error| wrong(py, name, error);
    let sent = match name {
        "websocket.send" => match exchange.send(words(message).map_err(named)?) {
            Ok(true) => Ok(()),
            Ok(false) => return room(py, exchange),
            Err(why) => Err(why),
        },
        "websocket.accept" => exchange.accept(consent(exchange, message).map_err(named)?),
        "websocket.close" => {
            // A refusal carries neither code nor reason, and is not held up for them: FastAPI's has a list for a reason.
            let (code, reason) =
                if exchange.is_open() { close(message).map_err(named)? } else { (1000, String::new()) };
            exchange.close(code, reason)
        }
        "websocket.http.response.start" => exchange.decline(response_head(message, false).map_err(named)?),
        "websocket.http.response.body" => {
            let body = data(message, name, intern!(py, "body"))?;
            exchange.decline_body(&body, flag(message, intern!(py, "more_body"))?)
        }
        other => {
            return Err(PyValueError::new_err(format!(
                "{other:?} is not the type of a message of a WebSocket"
            )));
        }
    };
    match sent {
        Ok(()) => done(py),
        Err(why) => Err(why.refusal(name)),
    }
}

/// The headers of a 101.
fn consent(exchange: &Exchange, message: &Bound<'_, PyDict>) -> PyResult<HeaderMap> {
    let py = message.py();
    let mut headers = match field(message, intern!(py, "headers"))? {
        Some(fields) => other_fields(&fields)?,
        None => HeaderMap::new(),
    };
    if headers.remove(SEC_WEBSOCKET_PROTOCOL).is_some() {
        return Err(PyValueError::new_err(
            "the headers must not name sec-websocket-protocol; \"subprotocol\" is for that",
        ));
    }
    if let Some(chosen) = field(message, intern!(py, "subprotocol"))? {
        let chosen = chosen
            .cast_into::<PyString>()
            .map_err(|_| PyTypeError::new_err("the subprotocol must be a str"))?;
        let chosen = chosen.to_str()?;
        if !exchange.subprotocols.iter().any(|offered| offered == chosen) {
            return Err(PyValueError::new_err(format!(
                "the client has not offered the subprotocol {chosen:?}"
            )));
        }
        let value = HeaderValue::from_str(chosen)
            .map_err(|_| PyValueError::new_err(format!("{chosen:?} is no subprotocol")))?;
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
    Ok(headers)
}

/// An awaitable of room for another message.
fn room<'py>(py: Python<'py>, exchange: &Arc<Exchange>) -> PyResult<Bound<'py, PyAny>> {
    awaitable(py, &exchange.agenda, exchange, |exchange, _py, cx| {
        exchange.poll_room(cx).map_ok(|()| None).map_err(|why| why.refusal("websocket.send"))
    })
}

/// Text or bytes.
fn words(message: &Bound<'_, PyDict>) -> PyResult<Message> {
    let py = message.py();
    match (field(message, intern!(py, "text"))?, field(message, intern!(py, "bytes"))?) {
        (Some(text), None) => {
            let Ok(text) = text.cast::<PyString>() else {
                let kind = text.get_type().qualname()?;
                return Err(PyTypeError::new_err(format!("\"text\" must be a str, not {kind}")));
            };
            Ok(Message::Text(Bytes::copy_from_slice(text.to_str()?.as_bytes())))
        }
        (None, Some(bytes)) => Ok(Message::Binary(bytes_or_empty(&bytes)?)),
        (None, None) => Err(PyValueError::new_err("it has neither \"text\" nor \"bytes\"")),
        (Some(_), Some(_)) => Err(PyValueError::new_err("it has both \"text\" and \"bytes\"")),
    }
}

/// A code that may stand in a close frame (RFC 6455 section 7.4), and a reason that fits.
fn close(message: &Bound<'_, PyDict>) -> PyResult<(u16, String)> {
    let py = message.py();
    let code = match field(message, intern!(py, "code"))? {
        Some(code) => code.extract::<i64>()?,
        None => 1000,
    };
    let code = u16::try_from(code)
        .ok()
        .filter(|code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999))
        .ok_or_else(|| PyValueError::new_err(format!("{code} is no code for a close frame")))?;
    let reason = match field(message, intern!(py, "reason"))? {
        Some(reason) => reason.extract::<String>()?,
        None => String::new(),
    };
    if reason.len() > LONGEST_REASON {
        return Err(PyValueError::new_err(format!("the reason is longer than {LONGEST_REASON} bytes")));
    }
    Ok((code, reason))
}
