//! One connection: hyper behind the gate, until either side has had enough.

use std::sync::Arc;

use ferricorn_protocol::{Connection, Drive};
use ferricorn_unix::scoreboard::ErrorClass;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connections::Member;
use crate::gate::Gate;
use crate::service::{Context, handle};
use crate::worker::Worker;

/// Serves a client in a task of its own.
pub(crate) fn spawn<S>(worker: &Arc<Worker>, stream: S, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (gate, shared) = Gate::new(stream, worker.rules);
    let member = Member::enter(worker, shared.clone());
    let key = member.key();
    let context =
        Arc::new(Context { worker: worker.clone(), connection: Arc::new(connection), gate: shared });
    let task = tokio::spawn(async move {
        let _member = member;
        serve(gate, context).await;
    });
    Member::abort_with(worker, key, task.abort_handle());
}

async fn serve<S>(gate: Gate<S>, context: Arc<Context>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let worker = context.worker.clone();
    // An app that blocks answers also a client that has closed its writing side; one that does not must see
    // that its client left.
    let half_close = worker.app.drive() == Drive::Seat;
    let service = service_fn(move |request| handle(context.clone(), request));
    let mut builder = http1::Builder::new();
    builder.half_close(half_close).header_read_timeout(None);
    // Without this call hyper keeps its 100 fields on the stack.
    if worker.settings.limits.request_fields != 100 {
        builder.max_headers(worker.settings.limits.request_fields);
    }
    let mut connection = builder.serve_connection(TokioIo::new(gate), service);
    // A gate keeps its socket open when hyper shuts it down, for it may have a refusal to send.
    if let Err(error) = (&mut connection).await {
        tracing::debug!("A connection ended early: {error}");
        return;
    }
    let gate = connection.into_parts().io.into_inner();
    if let Some(refusal) = gate.finish().await {
        worker.slot.error(ErrorClass::Client);
        tracing::debug!("Refused a request ({}): {}", refusal.status.as_u16(), refusal.why);
    }
}
