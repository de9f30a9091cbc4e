//! Every setting declared once, layered, resolved, with all errors at once.
//!
//! [`table`] declares the settings. [`Layers`] lays their sources over one another, and
//! [`Layers::resolve`] makes [`Settings`] of them. This crate does no I/O: the environment, the config file's
//! content and the number of cores are given to it, and who calls it prints or logs what it found.

#![forbid(unsafe_code)]

mod asgi;
pub mod compared;
mod development;
mod error;
mod foreign;
pub mod generate;
mod layers;
mod logging;
mod parse;
mod paste;
mod reader;
mod report;
mod resolve;
mod settings;
pub mod table;
mod toml_file;
mod unchanged;
mod uvicorn;
mod value;

pub use asgi::{AsgiLoop, AsgiSettings, Interface, Lifespan, WebSocketSettings};
pub use development::{CodeReload, ReloadEngine};
pub use error::SettingError;
/// What a config file left in its namespace, and its values.
pub use figment::value::{Dict, Value};
pub use foreign::Foreign;
pub use layers::{FileValues, Layers};
pub use logging::{LogSettings, RemoteAddress, StatsdSettings, SyslogSettings, UnixKind};
pub use paste::Paste;
pub use resolve::{Facts, Note, Resolved};
pub use settings::{
    Account, AllowList, Bind, Deadlines, Grammar, HeaderMapPolicy, Limits, LogLevel, LogTarget, MOST_THREADS,
    ProxyProtocol, RealIp, Settings, Trust, WorkerClass,
};
pub use uvicorn::UvicornClass;
