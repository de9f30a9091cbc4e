//! The settings of a developer's server: how changed code is noticed.

use crate::reader::Reader;

/// How changed code is noticed (gunicorn's `reload`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeReload {
    /// How files are watched.
    pub engine: ReloadEngine,
    /// Files beside the code, relative to the app's directory, or patterns of their names (`templates/**/*.html`).
    pub extra_files: Vec<String>,
}

/// How files are watched (gunicorn's `reload_engine`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadEngine {
    /// As `Inotify` where the kernel allows it, else as `Poll`.
    Auto,
    /// By looking at each of them again and again, which works on every file system.
    Poll,
    /// By inotify(7).
    Inotify,
}

pub(crate) fn code_reload(read: &Reader<'_>) -> Option<CodeReload> {
    let engine = match read.text("reload_engine").as_str() {
        "poll" => ReloadEngine::Poll,
        "inotify" => ReloadEngine::Inotify,
        _ => ReloadEngine::Auto,
    };
    read.switch("reload").then(|| CodeReload { engine, extra_files: read.list("reload_extra_files") })
}
