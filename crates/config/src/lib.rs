//! Every setting declared once, layered, resolved, with all errors at once.

#![forbid(unsafe_code)]

mod settings;

pub use settings::{
    AllowList, Bind, Deadlines, HeaderMapPolicy, Limits, LogLevel, LogTarget, Settings, Trust, WorkerClass,
};
