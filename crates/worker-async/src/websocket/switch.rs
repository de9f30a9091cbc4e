//! The answer with which a connection becomes a WebSocket.

use std::sync::Arc;

use ferricorn_protocol::{Head, ResponseBody};
use ferricorn_telemetry::tell_fault;
use http::HeaderValue;
use http::header::SERVER;

use super::Handshake;
use crate::gate::Shared;
use crate::outbound::OutBody;
use crate::record::Record;

/// Makes the answer, which ends HTTP on the connection. With it the books on the request are closed.
pub(crate) fn switch(
    gate: &Arc<Shared>,
    mut record: Record,
    handshake: &Handshake,
    mut head: Head,
    server: Option<&HeaderValue>,
    log_environ: Vec<Option<String>>,
) -> http::Response<OutBody> {
    if let Err(fault) = handshake.accept(&mut head) {
        tell_fault(&format!("Error in the handshake of {}", record.request_line()), &fault);
    }
    match server {
        Some(server) => drop(head.headers.insert(SERVER, server.clone())),
        None => drop(head.headers.remove(SERVER)),
    }
    record.head(head.status, &head.headers, log_environ);
    gate.switch();
    gate.expect_flush();
    let mut response = http::Response::new(OutBody::none(ResponseBody::Empty, None, gate.clone(), record));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}
