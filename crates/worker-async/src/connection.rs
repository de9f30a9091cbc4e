//! One connection: hyper behind the gate, until either side has had enough.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use ferricorn_config::ProxyProtocol;
use ferricorn_protocol::Connection;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connections::Member;
use crate::gate::Gate;
use crate::record;
use crate::service::{Context, handle};
use crate::takeover::{Lent, Loan, Socket, Wish};
use crate::websocket::{Accepted, Session};
use crate::worker::Worker;

/// Serves a client in a task of its own.
pub(crate) fn spawn<S: Socket>(worker: &Arc<Worker>, stream: S, connection: Connection) {
    let (gate, shared) = Gate::watched(stream, worker.rules, worker.doze.clone());
    // A plain app answers also a client that has closed its writing side; one that converses must see that its client
    // left.
    let mut gate = gate.with_kernel().watching(worker.app.converses());
    let member = Member::enter(worker, shared.clone());
    let key = member.key();
    let connection = Arc::new(connection);
    let mut context = Context {
        worker: worker.clone(),
        connection,
        gate: shared,
        newcomer: worker.doors.expect(),
        accepted: Accepted::default(),
        wish: Wish::default(),
        lent: Lent::default(),
    };
    // What is not needed while the connection is at rest, or is a WebSocket, is boxed, so that it does not hold the room
    // for it.
    let life = async move {
        let _member = member;
        if context.worker.settings.trust.proxy_protocol != ProxyProtocol::Off {
            Box::pin(introduce(&mut gate, &mut context)).await;
        }
        let context = Arc::new(context);
        loop {
            match Box::pin(converse(gate, &context)).await {
                Talk::Rests(resting) => gate = resting,
                Talk::Ended(ended) => return Box::pin(finish(ended, &context)).await,
                Talk::Switches(session) => return Box::pin(session.run()).await,
                Talk::Lends(gate, read, loan) => return Box::pin(loan.run(gate, &read)).await,
                Talk::Failed => return,
            }
            poll_fn(|cx| gate.poll_awake(cx)).await;
        }
    };
    Member::abort_with(worker, key, worker.spawner.spawn(life));
}

/// Lets a load balancer say for whom it speaks (the PROXY protocol), before the first request. It holds for
/// every request of the connection. Whether headers of the peer count depends on the peer itself all the same.
async fn introduce<S: AsyncRead + Unpin>(gate: &mut Gate<S>, context: &mut Context) {
    let trust = &context.worker.settings.trust;
    let connection = &context.connection;
    let allowed = connection.peer.is_none_or(|peer| trust.proxy_allow_ips.contains(&peer));
    let preface = poll_fn(|cx| gate.poll_preface(cx, trust.proxy_protocol, allowed)).await;
    if let Some((source, proxied)) = preface {
        let peer = source.or(connection.peer);
        let introduced = Connection::new(peer, connection.local.clone(), connection.trusted);
        context.connection = Arc::new(Connection { proxied: Some(proxied), ..introduced });
    }
}

/// Ends the connection. The gate kept the socket open when hyper shut it down, for it may have a refusal to send.
async fn finish<S: AsyncRead + AsyncWrite + Unpin>(gate: Gate<S>, context: &Context) {
    gate.finish(|refused| record::refused(&context.worker, &context.connection, &refused)).await;
}

/// How a stretch of a connection's life ended.
enum Talk<S> {
    /// The client has been silent for a while; hyper's buffers were given up meanwhile.
    Rests(Gate<S>),
    /// Either side ended the connection in good order.
    Ended(Gate<S>),
    /// A WebSocket was accepted.
    Switches(Box<Session<S>>),
    /// The app takes the connection over, with what was read behind its request.
    Lends(Gate<S>, Bytes, Box<Loan>),
    /// The client left in the middle, or a response could not be completed.
    Failed,
}

/// Lets hyper serve requests until the connection ends or has nothing to do for a while.
async fn converse<S>(gate: Gate<S>, context: &Arc<Context>) -> Talk<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = &context.worker.settings;
    let mut builder = http1::Builder::new();
    builder.half_close(true).header_read_timeout(None);
    // Without this call hyper keeps its 100 fields on the stack.
    if settings.limits.request_fields != 100 {
        builder.max_headers(settings.limits.request_fields);
    }
    let service = service_fn(|request| handle(context.clone(), request));
    let mut connection = builder.serve_connection(TokioIo::new(gate), service);
    let ended = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if context.gate.rests() || context.lent.is_there() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let ended = ended.await;
    // Taken in any case, for the loan holds the context.
    match (ended, context.lent.take()) {
        (None, Some(loan)) => {
            let parts = connection.into_parts();
            Talk::Lends(parts.io.into_inner(), parts.read_buf, loan)
        }
        (Some(Err(error)), _) => {
            tracing::debug!("A connection ended early: {error}");
            Talk::Failed
        }
        (Some(Ok(())), _) => {
            let parts = connection.into_parts();
            let gate = parts.io.into_inner();
            match context.accepted.take() {
                None => Talk::Ended(gate),
                Some(opening) if context.gate.is_flushed() => {
                    let worker = context.worker.clone();
                    Talk::Switches(Box::new(Session::new(gate, &parts.read_buf, opening, worker)))
                }
                // hyper had more to write than the client took before it left.
                Some(_) => Talk::Failed,
            }
        }
        (None, None) => Talk::Rests(connection.into_parts().io.into_inner()),
    }
}
