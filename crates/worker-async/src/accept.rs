//! Accepts clients: one at a time, while there is room, and while an app thread is free to serve them.

use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferricorn_protocol::{Connection, ExitCode, Local};
use ferricorn_unix::listener::{Client, Socket};
use ferricorn_unix::{Listener, limits};
use tokio::net::unix::pipe::Receiver;
use tokio::net::{TcpStream, UnixStream};

use crate::connection;
use crate::door::{COURTESY, Door, has_client};
use crate::timer::{sleep, timeout, turn};
use crate::worker::Worker;

/// How long accepting pauses when there is no room for another connection, and none ends, or no sibling takes it.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a shortage is not mentioned again.
const SILENCE: Duration = Duration::from_secs(60);

/// How long the last packet of a client who has begun to connect may take to arrive, when the server ends.
const HANDSHAKE: Duration = Duration::from_millis(50);

/// A listener that the runtime watches, with its own address.
pub(crate) struct Acceptor {
    door: Arc<Door>,
    local: Local,
    /// Whether more clients waited than the siblings could take at once: then there is no time for courtesy.
    backlog: bool,
    /// How many lulls there were when the last one was used, or was of no use.
    lulls: u32,
}

impl Acceptor {
    /// Registers an inherited listener with the runtime that is entered.
    ///
    /// # Errors
    /// The descriptor cannot be watched.
    pub(crate) fn new(worker: &Worker, listener: &Listener) -> io::Result<Self> {
        let local = match listener.local() {
            ferricorn_unix::Local::Tcp(address) => Local::Tcp(*address),
            ferricorn_unix::Local::Unix(path) => Local::Unix(path.clone()),
        };
        Ok(Self { door: worker.doors.hang(listener.to_socket()?)?, local, backlog: false, lulls: 0 })
    }

    /// Accepts until the worker drains.
    pub(crate) async fn run(mut self, worker: Arc<Worker>) {
        let mut told: Option<Instant> = None;
        let blocks = worker.app.drive().blocks();
        loop {
            let accepted = tokio::select! {
                biased;
                () = worker.lifecycle.drains() => return self.close(&worker).await,
                accepted = self.next(&worker) => accepted,
            };
            match accepted {
                Ok(client) => {
                    if let Err(error) = spawn(&worker, &self.local, client) {
                        tracing::debug!("A client could not be served: {error}");
                    }
                    worker.doors.accepted(&self.door);
                    // The client's first bytes are often there already; they go before the next client.
                    tokio::task::yield_now().await;
                    if blocks {
                        self.backlog &= worker.doors.until_called(&self.door).await;
                    }
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
                    worker.doors.pass_on(&self.door);
                    make_room(&worker).await;
                }
            }
        }
    }

    /// Returns once another connection may be held. If a client knocks before that whom no sibling takes, one that
    /// waits for a request makes room for it.
    async fn room(&self, worker: &Worker) {
        let connections = &worker.connections;
        let limit = worker.settings.worker_connections;
        if connections.count() >= limit {
            worker.doors.full(true);
            while connections.count() >= limit {
                let room = connections.until(|open| open < limit);
                tokio::select! {
                    biased;
                    () = room => {}
                    () = self.knock(worker) => make_room(worker).await,
                }
            }
            worker.doors.full(false);
        }
        connections.has_room();
    }

    /// Returns once a client waits to be accepted, while an app thread could serve it.
    async fn knock(&self, worker: &Worker) {
        loop {
            free(worker).await;
            // Beside the door, which is shut; of a pipe the runtime tells whether there is something. A failure is a
            // shortage of descriptors, and room is the remedy for that too.
            if let Ok(listener) = self.door.listener().as_fd().try_clone_to_owned()
                && let Ok(listener) = Receiver::from_owned_fd_unchecked(listener)
            {
                let _ = listener.readable().await;
            }
            // A sibling that is blocked or full says so; one that takes clients may have to wait for its processor.
            let _ = timeout(PAUSE, async {
                while worker.doors.has_siblings() && self.door.has_client() {
                    sleep(COURTESY).await;
                }
            })
            .await;
            if self.door.has_client() {
                return;
            }
        }
    }

    /// The next client, once there is room for it and an app thread that can serve it, or a lull.
    async fn next(&mut self, worker: &Worker) -> io::Result<Client> {
        // Each time another app thread begins a call, or the same one has run some.
        let mut polite = worker.settings.threads;
        loop {
            self.room(worker).await;
            // A lull is one that comes while this waits.
            self.lulls = worker.seat.lulls();
            let Self { door, lulls, .. } = self;
            let listener = door.listener();
            let knocks = async {
                free(worker).await;
                listener.readable().await
            };
            let mut ready = tokio::select! {
                biased;
                ready = knocks => ready?,
                client = let_in(worker, door, lulls) => return Ok(client),
            };
            if worker.seat.blocked() {
                worker.doors.pass_on(door);
                continue;
            }
            // Requests have come at the same time, and their calls may last. Who drives leaves for one now.
            if polite > 0 && worker.doors.is_taken() {
                polite -= 1;
                tokio::task::yield_now().await;
                continue;
            }
            if !self.backlog {
                worker.doors.give_way().await;
            }
            let shut = ready.ready().is_read_closed();
            let accepted = ready.try_io(|listener| listener.get_ref().accept());
            self.backlog = accepted.is_ok();
            match accepted {
                Ok(accepted) => return accepted,
                // The master has shut the queue, and nobody is left in it. This readiness is never cleared, and the
                // drain, which follows, ends the wait.
                Err(_) if shut => pending().await,
                Err(_) => worker.doors.came_too_late(&self.door),
            }
        }
    }

    /// Closes the listener. If nobody accepts after this worker, since the server ends or listens there no more, it first
    /// takes in the clients that the kernel has queued: they would be reset. Else they are left to others, who are not about to leave.
    async fn close(self, worker: &Arc<Worker>) {
        worker.doors.leave(&self.door);
        if !worker.lifecycle.is_last() && !self.door.listener().get_ref().is_refused() {
            return worker.doors.pass_on(&self.door);
        }
        // Nobody else keeps it for longer than a look.
        let Some(door) = Arc::into_inner(self.door) else { return };
        let queue = Queue { socket: door.take_down(), local: self.local };
        queue.take_in(worker).await;
        sleep(HANDSHAKE).await;
        queue.take_in(worker).await;
    }
}

/// A listener whose clients are asked for by hand: the runtime knows only of those who came before its last look.
struct Queue {
    socket: Socket,
    local: Local,
}

impl Queue {
    /// Accepts until nobody waits, as far as there is room and as soon as there is.
    async fn take_in(&self, worker: &Arc<Worker>) {
        let limit = worker.settings.worker_connections;
        loop {
            worker.connections.until(|open| open < limit).await;
            match self.socket.accept().and_then(|client| spawn(worker, &self.local, client)) {
                Ok(()) => {}
                Err(error) if is_passing(&error) => {}
                // The kernel tells of this before it tells that nobody waits.
                Err(error) if limits::is_shortage(&error) && has_client(&self.socket) => {
                    make_room(worker).await
                }
                Err(_) => return,
            }
        }
    }
}

/// Serves a client that came in at the address `local`.
///
/// # Errors
/// The runtime cannot watch it.
fn spawn(worker: &Arc<Worker>, local: &Local, client: Client) -> io::Result<()> {
    let peer = match &client {
        Client::Tcp(_, peer) => Some(*peer),
        Client::Unix(_) => None,
    };
    let trust = &worker.settings.trust.forwarded_allow_ips;
    let connection = Connection::new(peer, local.clone(), peer.is_none_or(|peer| trust.contains(&peer)));
    match client {
        Client::Tcp(stream, _) => connection::spawn(worker, TcpStream::from_std(stream)?, connection),
        Client::Unix(stream) => connection::spawn(worker, UnixStream::from_std(stream)?, connection),
    }
    Ok(())
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

/// A client who is let in between two calls: who waits while no app thread is free here, and none in a sibling. It gets
/// in line behind the clients that are there already, which could keep it out for ever.
async fn let_in(worker: &Worker, door: &Door, lulls: &mut u32) -> Client {
    loop {
        let freed = worker.seat.freed().notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        let (blocked, now) = (worker.seat.blocked(), worker.seat.lulls());
        if std::mem::replace(lulls, now) != now {
            if blocked
                && !worker.doors.has_siblings()
                && let Ok(client) = door.listener().get_ref().accept()
            {
                return client;
            }
            worker.seat.lull_in_vain();
        }
        freed.await;
    }
}

/// Returns once an app thread is free; at once in a worker whose app runs in tasks.
pub(crate) async fn free(worker: &Worker) {
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
