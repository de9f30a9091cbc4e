//! What can go wrong between server and application, sorted by who must act.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What has raised a fault, such as an exception of Python's, for a logger that makes more of it than text.
pub type Cause = Arc<dyn Any + Send + Sync>;

/// The application failed: an exception out of a call, or a response that HTTP cannot carry.
#[derive(Debug)]
pub struct AppFault {
    /// One line that says what happened, such as `ValueError: bad status`.
    pub message: String,
    /// The traceback, as text of several lines, where there is one.
    pub traceback: Option<String>,
    /// Set if the application asked for the end of its process (Python's `SystemExit`): the status it gave.
    pub exit: Option<u8>,
    /// Whether the log has told it already, as it has told of a call that the master ended.
    pub told: bool,
    /// What has raised it, where that is in this process and the log wants it.
    pub cause: Option<Cause>,
}

impl AppFault {
    /// A fault that is told in one line.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), traceback: None, exit: None, told: false, cause: None }
    }

    /// The traceback, or the message if there is none.
    #[must_use]
    pub fn details(&self) -> &str {
        self.traceback.as_deref().unwrap_or(&self.message).trim_end()
    }
}

impl fmt::Display for AppFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AppFault {}

/// A body that did not arrive, or could not be sent, to its end. It never looks like the end of a body.
#[derive(Debug)]
pub enum BodyError {
    /// The client closed the connection, or broke the framing, in the middle of its request body.
    Broken(String),
    /// The client sent nothing for longer than the deadline.
    Timeout,
    /// The body is longer than `--limit-request-body` allows.
    TooLarge,
    /// The application failed while it produced its response body.
    App(AppFault),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => write!(f, "the request body is broken: {why}"),
            Self::Timeout => f.write_str("the request body did not arrive in time"),
            Self::TooLarge => f.write_str("the request body is larger than the limit"),
            Self::App(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {}

/// The client has left, so what the application writes reaches nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientGone;

impl fmt::Display for ClientGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client closed the connection")
    }
}

impl std::error::Error for ClientGone {}
