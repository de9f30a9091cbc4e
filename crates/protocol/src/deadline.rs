//! The time that a request may take (`--request-timeout`), as server and application know it.

use std::time::Duration;

/// The deadline of one request. The server keeps it, and the application may move it.
pub trait Deadline: Send + Sync {
    /// The number of the request in its worker, by which [`App::interrupt`](crate::App::interrupt) knows it.
    fn number(&self) -> u64;

    /// Whether the time is over. Then the client has been told, and nothing more is to be begun for the request.
    fn is_over(&self) -> bool;

    /// Gives the request that much more time, and returns what is left of it. Once the time is over there is none to
    /// give.
    fn extend(&self, time: Duration) -> Duration;
}

/// Takes the stack of a call that is interrupted, as lines of text, for the log; `None` if the call has none.
pub type TellStack = Box<dyn FnOnce(Option<String>) + Send>;
