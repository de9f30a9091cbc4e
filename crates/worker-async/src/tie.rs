//! What ties an app thread to a response that it has begun, until that is closed or its client has proved slow.
//!
//! A client is slow if its socket was full at so many looks as make 100 ms. Nobody looks unless somebody may wait for such a thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferricorn_protocol::{Answer, AppFault, AppThread, Pieces, ResponseBody};
use slab::Slab;

use crate::gate::Shared;
use crate::pull::Pull;
use crate::timer::sleep;
use crate::worker::Worker;

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// At so many the socket may be full.
const PATIENCE: u32 = 5;

/// The responses of a worker that have tied an app thread and go on.
#[derive(Default)]
pub(crate) struct Ties(Mutex<Slab<Going>>);

struct Going {
    pull: Arc<Pull>,
    gate: Arc<Shared>,
    /// At how many looks its socket was full.
    full: u32,
}

/// A response's place among them.
pub(crate) struct Place {
    worker: Arc<Worker>,
    key: usize,
}

/// The rest of a response that belongs to an app thread.
struct Tied {
    pieces: Box<dyn Pieces>,
    /// None once the client has proved slow.
    tie: Option<Tie>,
}

struct Tie {
    worker: Arc<Worker>,
    home: usize,
}

/// Ties an app thread to what it has answered, if that goes on.
pub(crate) fn tie(worker: &Arc<Worker>, answer: &mut Answer) {
    if let Some(body) = body(answer)
        && let ResponseBody::Pulled { rest, .. } = body
        && let Some(AppThread(home)) = rest.home()
    {
        worker.seat.tie(home);
        let tie = Some(Tie { worker: worker.clone(), home });
        *body = match std::mem::replace(body, ResponseBody::Empty) {
            ResponseBody::Pulled { first, rest } => {
                ResponseBody::Pulled { first, rest: Box::new(Tied { pieces: rest, tie }) }
            }
            other => other,
        };
    }
}

fn body(answer: &mut Answer) -> Option<&mut ResponseBody> {
    match answer {
        Answer::Response(response) => Some(&mut response.body),
        Answer::Begun(body) => Some(body),
        Answer::Later(_) | Answer::Fault(_) => None,
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        self.worker.seat.untie(self.home);
    }
}

impl Pieces for Tied {
    fn next(&mut self) -> Result<Option<Bytes>, AppFault> {
        self.pieces.next()
    }

    fn close(self: Box<Self>) -> Result<(), AppFault> {
        let Self { pieces, tie } = *self;
        let closed = pieces.close();
        drop(tie);
        closed
    }

    fn loosen(&mut self) {
        self.tie = None;
    }

    fn home(&self) -> Option<AppThread> {
        self.pieces.home()
    }
}

impl Ties {
    /// Adds a response; it goes with its place.
    pub(crate) fn enter(worker: &Arc<Worker>, pull: Arc<Pull>, gate: Arc<Shared>) -> Place {
        let key = worker.ties.lock().insert(Going { pull, gate, full: 0 });
        Place { worker: worker.clone(), key }
    }

    /// Has each that was found waiting for its client too often share its thread.
    fn look(&self) {
        for (_, going) in self.lock().iter_mut() {
            if going.gate.write_blocked().is_some() {
                going.full += 1;
                if going.full == PATIENCE {
                    going.pull.loosen();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Going>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let gone = self.worker.ties.lock().try_remove(self.key);
        drop(gone);
    }
}

/// Looks after slow clients while others wait for the threads that are tied to them.
pub(crate) async fn run(worker: Arc<Worker>) {
    loop {
        worker.seat.short().notified().await;
        while worker.seat.is_short() {
            sleep(LOOK).await;
            worker.ties.look();
        }
    }
}
