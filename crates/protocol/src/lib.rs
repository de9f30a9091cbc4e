//! The app interface: what a server and an application say to each other.
//!
//! The ground floor of the workspace. It holds one trait for an application ([`App`]), one for loading it in
//! a worker ([`Loader`]), the request and the response that pass between them, and the exit codes. It does no
//! I/O, knows neither hyper nor Python, and lets through the types of three crates only: `http`, `bytes` and
//! `http-body`.

#![forbid(unsafe_code)]

mod app;
mod app_thread;
mod deadline;
mod exit;
mod fault;
mod guest;
mod hooks;
mod request;
mod response;
mod takeover;
mod websocket;

pub use app::{Answer, App, BoxFuture, Drive, LoadError, Loader, Sources, Watch, WorkerInfo};
pub use app_thread::AppThread;
pub use deadline::{Deadline, TellStack};
pub use exit::ExitCode;
pub use fault::{AppFault, BodyError, Cause, ClientGone};
pub use guest::{Guest, Look, Pumped};
pub use hooks::{Attended, Hooks, Listening, Moment, NoHooks};
pub use request::{ClientAddress, Connection, Local, Proxied, Request, RequestBody, Scheme, split_target};
pub use response::{Early, FileBody, Head, Hints, Pieces, Response, ResponseBody, Stream};
pub use takeover::{Taken, Takeover};
pub use websocket::{Conversation, End, Message, Offer, Outgoing};
