//! The bridge with an interpreter inside: what apps see, and what the server gets back.

#![expect(clippy::unwrap_used, reason = "in a test it is as good as an assertion")]

mod asgi;
mod config_file;
mod deadlines;
mod early_hints;
mod environ;
mod errors;
mod file_wrapper;
mod input;
mod kind;
mod load;
mod response;
mod support;
mod write;
