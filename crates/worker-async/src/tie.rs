//! What ties an app thread to a response that it has begun, until that is closed.

use std::sync::Arc;

use bytes::Bytes;
use ferricorn_protocol::{Answer, AppFault, AppThread, Pieces, ResponseBody};

use crate::worker::Worker;

/// The rest of a response that belongs to an app thread.
struct Tied {
    pieces: Box<dyn Pieces>,
    tie: Tie,
}

struct Tie {
    worker: Arc<Worker>,
    home: usize,
}

/// Ties an app thread to what it has answered, if that goes on and there are other threads for other calls.
pub(crate) fn tie(worker: &Arc<Worker>, answer: &mut Answer) {
    if worker.settings.threads > 1
        && let Some(body) = body(answer)
        && let ResponseBody::Pulled { rest, .. } = body
        && let Some(AppThread(home)) = rest.home()
    {
        worker.seat.tie(home);
        let tie = Tie { worker: worker.clone(), home };
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

    fn home(&self) -> Option<AppThread> {
        self.pieces.home()
    }
}
