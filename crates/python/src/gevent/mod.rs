//! WSGI on greenlets: gevent's hub hosts the server's loop, and each request is a greenlet of its own.
//!
//! A greenlet that waits switches to the hub, with whatever is on its stack: calls of this crate too. Two things follow
//! for them. Nothing is locked or borrowed while the application runs or a greenlet waits; and none of them detaches
//! from Python around a wait, for PyO3 counts by thread how often it is attached, and must not be told otherwise
//! by another greenlet.

mod agenda;
mod app;
mod call;
mod early;
mod exchange;
mod host;
mod hub;
mod input;
mod patch;
mod pour;
mod waiting;

pub(crate) use app::GreenletApp;
pub(crate) use patch::{come_from_fork, patch};
