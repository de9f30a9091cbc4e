//! Accepts clients: one at a time, while there is room, and while an app thread is free to serve them.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ferricorn_protocol::{Connection, ExitCode, Local};
use ferricorn_unix::{Listener, limits};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::connection;
use crate::timer::{sleep, timeout, turn};
use crate::worker::Worker;

/// How long accepting pauses when there is no room for another connection and none ends.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a shortage is not mentioned again.
const SILENCE: Duration = Duration::from_secs(60);

/// How long the last packet of a client who has begun to connect may take to arrive, when the server ends.
const HANDSHAKE: Duration = Duration::from_millis(50);

/// A listener that the runtime watches, with its own address.
pub(crate) struct Acceptor {
    socket: Socket,
    local: Local,
}

enum Socket {
    Tcp(TcpListener),
    /// Not Tokio's own, which asks for ever in one poll when the master has shut the queue.
    Unix(AsyncFd<UnixListener>),
}

enum Client {
    Tcp(TcpStream, std::net::SocketAddr),
    Unix(UnixStream),
}

impl Acceptor {
    /// Registers an inherited listener with the runtime that is entered.
    ///
    /// # Errors
    /// The descriptor cannot be watched.
    pub(crate) fn new(listener: &Listener) -> io::Result<Self> {
        let local = match listener.local() {
            ferricorn_unix::Local::Tcp(address) => Local::Tcp(*address),
            ferricorn_unix::Local::Unix(path) => Local::Unix(path.clone()),
        };
        let socket = match listener.to_socket()? {
            ferricorn_unix::listener::Socket::Tcp(listener) => Socket::Tcp(TcpListener::from_std(listener)?),
            ferricorn_unix::listener::Socket::Unix(listener) => Socket::Unix(watched(listener)?),
        };
        Ok(Self { socket, local })
    }

    /// Accepts until the worker drains.
    pub(crate) async fn run(self, worker: Arc<Worker>) {
        let mut told: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = worker.lifecycle.drains() => return self.close(&worker).await,
                accepted = self.next(&worker) => accepted,
            };
            match accepted {
                Ok(client) => {
                    spawn(&worker, &self.local, client);
                    // The client's first bytes are often there already; they go before the next client.
                    tokio::task::yield_now().await;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) if !limits::is_shortage(&error) => {
                    tracing::error!("Cannot accept on a listener any more ({error}); this worker leaves");
                    worker.lifecycle.leave(ExitCode::FAILURE);
                }
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() >= SILENCE) {
                        let open = worker.connections.count();
                        tracing::error!(
                            "Cannot accept another connection ({error}); {open} are open. Idle ones are closed to \
                             make room; raise the limit of open files, or lower --worker-connections"
                        );
                        told = Some(Instant::now());
                    }
                    make_room(&worker).await;
                }
            }
        }
    }

    /// Returns once another connection may be held. If a client knocks before that, one that waits for a request
    /// makes room for it.
    async fn room(&self, worker: &Worker) {
        let connections = &worker.connections;
        let limit = worker.settings.worker_connections;
        while connections.count() >= limit {
            let room = connections.until(|open| open < limit);
            tokio::select! {
                biased;
                () = room => {}
                () = self.knock(worker) => make_room(worker).await,
            }
        }
        connections.has_room();
    }

    /// Returns once a client waits to be accepted, while an app thread could serve it.
    async fn knock(&self, worker: &Worker) {
        free(worker).await;
        let listener = match &self.socket {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
        };
        // The runtime tells of a listener's clients only by accepting them, which a sibling might do instead; of
        // a pipe it tells whether there is something. A failure is a shortage of descriptors, and room is the
        // remedy for that too.
        if let Ok(listener) = listener.try_clone_to_owned()
            && let Ok(listener) = Receiver::from_owned_fd_unchecked(listener)
        {
            let _ = listener.readable().await;
        }
    }

    /// The next client, once there is room for it and an app thread that can serve it.
    async fn next(&self, worker: &Worker) -> io::Result<Client> {
        loop {
            self.room(worker).await;
            free(worker).await;
            let accepted = std::future::poll_fn(|cx| {
                if worker.seat.blocked() {
                    return Poll::Ready(None);
                }
                self.poll_accept(cx).map(Some)
            });
            if let Some(accepted) = accepted.await {
                return accepted;
            }
        }
    }

    /// Closes the listener. If nobody accepts after this worker, it first takes in the clients that the kernel has
    /// queued: they would be reset. Else they are left to others, who are not about to leave.
    async fn close(self, worker: &Arc<Worker>) {
        if !worker.lifecycle.is_last() {
            return;
        }
        let Ok(queue) = Queue::of(self) else { return };
        queue.take_in(worker).await;
        sleep(HANDSHAKE).await;
        queue.take_in(worker).await;
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Client>> {
        match &self.socket {
            Socket::Tcp(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, peer)| Client::Tcp(stream, peer))
            }
            Socket::Unix(listener) => poll_accept_unix(listener, cx),
        }
    }
}

/// The runtime watches it from now on.
#[expect(
    deprecated,
    reason = "it is wrong for what may be closed while it is watched, and a listener keeps its descriptor"
)]
fn watched(listener: UnixListener) -> io::Result<AsyncFd<UnixListener>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// Pending for good once the queue is shut and empty: the drain, which follows, ends the wait.
fn poll_accept_unix(listener: &AsyncFd<UnixListener>, cx: &mut Context<'_>) -> Poll<io::Result<Client>> {
    loop {
        let mut ready = ready!(listener.poll_read_ready(cx))?;
        let shut = ready.ready().is_read_closed();
        if let Ok(accepted) = ready.try_io(|listener| accept_unix(listener.get_ref())) {
            return Poll::Ready(accepted);
        }
        // This readiness is never cleared.
        if shut {
            return Poll::Pending;
        }
    }
}

fn accept_unix(listener: &UnixListener) -> io::Result<Client> {
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok(Client::Unix(UnixStream::from_std(stream)?))
}

/// A listener whose clients are asked for by hand: the runtime knows only of those who came before its last look.
struct Queue {
    socket: ferricorn_unix::listener::Socket,
    local: Local,
}

impl Queue {
    fn of(acceptor: Acceptor) -> io::Result<Self> {
        use ferricorn_unix::listener::Socket as Plain;

        let socket = match acceptor.socket {
            Socket::Tcp(listener) => Plain::Tcp(listener.into_std()?),
            Socket::Unix(listener) => Plain::Unix(listener.into_inner()),
        };
        Ok(Self { socket, local: acceptor.local })
    }

    /// Accepts until nobody waits, as far as there is room and as soon as there is.
    async fn take_in(&self, worker: &Arc<Worker>) {
        let limit = worker.settings.worker_connections;
        loop {
            worker.connections.until(|open| open < limit).await;
            match self.accept() {
                Ok(client) => spawn(worker, &self.local, client),
                Err(error) if is_passing(&error) => {}
                Err(error) if limits::is_shortage(&error) => make_room(worker).await,
                Err(_) => return,
            }
        }
    }

    fn accept(&self) -> io::Result<Client> {
        use ferricorn_unix::listener::Socket as Plain;

        match &self.socket {
            Plain::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Client::Tcp(TcpStream::from_std(stream)?, peer))
            }
            Plain::Unix(listener) => accept_unix(listener),
        }
    }
}

/// Serves a client that came in at the address `local`.
fn spawn(worker: &Arc<Worker>, local: &Local, client: Client) {
    let peer = match &client {
        Client::Tcp(_, peer) => Some(*peer),
        Client::Unix(_) => None,
    };
    let trust = &worker.settings.trust.forwarded_allow_ips;
    let connection = Connection::new(peer, local.clone(), peer.is_none_or(|peer| trust.contains(&peer)));
    match client {
        Client::Tcp(stream, _) => connection::spawn(worker, stream, connection),
        Client::Unix(stream) => connection::spawn(worker, stream, connection),
    }
}

/// Has a connection without a request end so that another can be accepted, and returns when one has ended, or after a while.
async fn make_room(worker: &Worker) {
    // In the meantime the runtime hears of the bytes that have come, so that who has just sent a request is
    // not taken for idle.
    turn().await;
    let open = worker.connections.count();
    worker.connections.make_room();
    let _ = timeout(PAUSE, worker.connections.until(|left| left < open)).await;
}

/// Returns once an app thread is free; at once in a worker whose app runs in tasks.
async fn free(worker: &Worker) {
    loop {
        let freed = worker.seat.freed().notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        if !worker.seat.blocked() {
            return;
        }
        freed.await;
    }
}

/// Errors of one client, which left before it was accepted (accept(2)).
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
