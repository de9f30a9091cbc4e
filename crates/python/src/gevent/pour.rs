//! A response on its way from the application, piece by piece as the client takes it.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use ferricorn_protocol::{AppFault, FileBody, Pieces, Response, ResponseBody};
use pyo3::prelude::*;

use super::call::{Later, close, tell};
use super::exchange::{Client, Exchange};
use crate::fault::app_fault;

/// How much of a file is read at once.
const BLOCK: u64 = 128 * 1024;

/// How a production ended.
enum Ended {
    /// By itself, or with the application's fault.
    Made(Result<(), AppFault>),
    /// Its Content-Length has been sent, so one more step should find the end.
    Sent,
    /// Nobody wants more.
    Unwanted,
}

/// Gives the response, and stays with it until its end.
pub(super) fn answer(py: Python<'_>, exchange: &Arc<Exchange>, response: Box<Response>) {
    if matches!(response.body, ResponseBody::Empty | ResponseBody::Full(_)) {
        return exchange.respond(Ok(response));
    }
    let Response { head, body, log_environ } = *response;
    let body = match body {
        ResponseBody::Pulled { first, rest } => {
            let ended = match exchange.begin(head, log_environ, first) {
                Ok(()) => produce(py, exchange, None, rest),
                Err(_) => (Ended::Unwanted, rest),
            };
            return finish(exchange, ended);
        }
        ResponseBody::File(mut file) => {
            if exchange.is_gone() {
                return finish_file(exchange, file, Ok(()));
            }
            let later = |rest| Box::new(Later::new(rest, exchange)) as Box<dyn Pieces>;
            file.rest = file.rest.map(later);
            ResponseBody::File(file)
        }
        body => body,
    };
    exchange.respond(Ok(Box::new(Response { head, body, log_environ })));
}

/// Gives the rest of a body that `write()` has begun. If what was written last has not left yet, for an exception has ended
/// that wait, it is waited for.
pub(super) fn pour(py: Python<'_>, exchange: &Arc<Exchange>, body: ResponseBody) {
    match body {
        ResponseBody::Full(bytes) => match exchange.written(py) {
            Ok(_) => {
                exchange.give(bytes);
                exchange.end(Ok(()));
            }
            Err(error) => exchange.fail(app_fault(py, &error)),
        },
        ResponseBody::Pulled { first, rest } => {
            finish(exchange, produce(py, exchange, Some(first), rest));
        }
        ResponseBody::File(mut file) => {
            let ended = send_file(py, exchange, &mut file);
            finish_file(exchange, file, ended);
        }
        ResponseBody::Empty | ResponseBody::Stream(_) | ResponseBody::WebSocket(_) => exchange.end(Ok(())),
    }
}

/// Asks the application for a piece whenever the one before has been written; `first` it has given already.
fn produce(
    py: Python<'_>,
    exchange: &Exchange,
    mut first: Option<Bytes>,
    mut rest: Box<dyn Pieces>,
) -> (Ended, Box<dyn Pieces>) {
    let ended = loop {
        match exchange.written(py) {
            Ok(Client::Takes) => {}
            Ok(Client::HasAll) => break Ended::Sent,
            Ok(Client::Gone) => break Ended::Unwanted,
            Err(error) => break Ended::Made(Err(app_fault(py, &error))),
        }
        let piece = match first.take() {
            Some(first) => Ok(Some(first)),
            None => rest.next(),
        };
        match piece {
            Ok(Some(piece)) => exchange.give(piece),
            Ok(None) => break Ended::Made(Ok(())),
            Err(fault) => break Ended::Made(Err(fault)),
        }
    };
    (ended, rest)
}

/// Tells the connection of the end, and closes the iterable, as PEP 3333 has it: the client need not wait for that.
fn finish(exchange: &Exchange, (ended, mut rest): (Ended, Box<dyn Pieces>)) {
    let (line, agenda) = (exchange.request(), exchange.agenda());
    if let Ended::Sent = ended {
        match rest.next() {
            Ok(None) => {}
            Ok(Some(_)) => {
                tracing::warn!("The response is longer than its Content-Length; the rest was cut: {line}")
            }
            Err(fault) => tell(&format!("Error after the end of the response to {line}"), &fault, agenda),
        }
    }
    match ended {
        Ended::Made(Err(fault)) => exchange.fail(fault),
        Ended::Made(Ok(())) | Ended::Sent | Ended::Unwanted => exchange.end(Ok(())),
    }
    close(rest, &line, agenda);
}

fn send_file(py: Python<'_>, exchange: &Exchange, body: &mut FileBody) -> Result<(), AppFault> {
    while body.length > 0 {
        if exchange.written(py).map_err(|error| app_fault(py, &error))? != Client::Takes {
            return Ok(());
        }
        let mut block = vec![0; usize::try_from(body.length.min(BLOCK)).unwrap_or(usize::MAX)];
        let read = body
            .file
            .read_at(&mut block, body.offset)
            .map_err(|error| AppFault::new(format!("cannot read the file of the response: {error}")))?;
        if read == 0 {
            break;
        }
        block.truncate(read);
        body.offset += read as u64;
        body.length -= read as u64;
        exchange.give(Bytes::from(block));
    }
    Ok(())
}

fn finish_file(exchange: &Exchange, file: FileBody, ended: Result<(), AppFault>) {
    match ended {
        Ok(()) => exchange.end(Ok(())),
        Err(fault) => exchange.fail(fault),
    }
    if let Some(rest) = file.rest {
        close(rest, &exchange.request(), exchange.agenda());
    }
}
