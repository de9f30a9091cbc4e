//! What the calls of one connection share: ready-made scopes, and the calls that go on though the connection has all of
//! their responses.
//!
//! It ends with its connection, and that is how such a call learns that its client has left.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use ferricorn_protocol::Connection;

use super::http::Exchange;
use super::scope::ConnectionTemplates;
use crate::hosted::lock;

/// How many such calls a connection may have. For more of them, their clients have left: a client that asks on and on,
/// by HEAD, for what never ends would else have as many tasks run as it likes.
const OUTLIVING: usize = 16;

/// See the module's first line.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) templates: OnceLock<ConnectionTemplates>,
    outliving: Mutex<VecDeque<Weak<Exchange>>>,
}

impl Notes {
    /// Those of a connection. There are none if somebody else keeps notes there; there is nobody else.
    pub(super) fn of(connection: &Connection) -> Option<&Self> {
        connection.notes.get_or_init(|| Box::<Self>::default()).downcast_ref()
    }

    /// A call goes on for which the connection has no more use.
    pub(super) fn outlives(&self, call: &Arc<Exchange>) {
        let mut outliving = lock(&self.outliving);
        outliving.retain(|call| call.strong_count() > 0);
        outliving.push_back(Arc::downgrade(call));
        let longest = if outliving.len() > OUTLIVING { outliving.pop_front() } else { None };
        drop(outliving);
        if let Some(call) = longest.and_then(|call| call.upgrade()) {
            call.left();
        }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        for call in lock(&self.outliving).drain(..).filter_map(|call| call.upgrade()) {
            call.left();
        }
    }
}
