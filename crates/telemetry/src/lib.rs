//! What the server tells its operator: the error log and the access log, in gunicorn's formats.
//!
//! Both write whole lines with one system call, so that processes can share a file, and neither lets a client
//! forge a line or drive a terminal: see [`escape`].

#![forbid(unsafe_code)]

pub mod access_log;
pub mod error_log;
mod escape;
mod fault;
mod json;
mod logger;
mod remote;
mod sink;
mod stamp;

pub use access_log::{AccessLog, Capture};
pub use error_log::ErrorLog;
pub use escape::{Escaped, escape};
pub use fault::{tell_fault, tell_load_error};
pub use logger::Logger;
pub use remote::{seek_names, unknown_names};
pub use sink::check_file;
