//! `--check-config`: loads the app in this process and says whether that went well, and what differs from gunicorn.

use std::fmt::Write;
use std::net::ToSocketAddrs;

use ferricorn_config::compared::GUNICORN;
use ferricorn_config::{Bind, Layers, LogTarget, Resolved, SettingError, Settings};
use ferricorn_protocol::{ExitCode, WorkerInfo};
use ferricorn_telemetry::{check_file, unknown_names};

use crate::stop::Stop;
use crate::{Host, messages};

/// Checks all, and tells what there is to tell of it, unless the settings were printed already.
pub(crate) fn all(host: &dyn Host, layers: &Layers, resolved: &Resolved) -> Result<ExitCode, Stop> {
    let faults = surroundings(layers, &resolved.settings);
    if !faults.is_empty() {
        return Err(Stop::Settings(faults));
    }
    host.logger(resolved).map_err(Stop::Fault)?;
    let code = app(host, &resolved.settings)?;
    if !resolved.print_config {
        let notes = resolved.notes.iter().map(|note| note.message.clone());
        messages::answer(report(layers, notes.chain(unknown_names(&resolved.settings)).collect()));
    }
    Ok(code)
}

/// What whoever comes from gunicorn should know. The text is for people, and may change.
fn report(layers: &Layers, notes: Vec<String>) -> String {
    let mut text = "The configuration is good, and the application loads.\n".to_owned();
    let mut chapter = |title: String, lines: Vec<String>| {
        if !lines.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{title}\n\n  {}\n", lines.join("\n  "));
        }
    };
    chapter("To be noted:".to_owned(), notes);
    chapter(format!("What differs from gunicorn {GUNICORN}:"), layers.differences());
    text
}

/// What the start would find wrong around it: files that cannot be written, names that cannot be found. Nothing is left
/// behind.
fn surroundings(layers: &Layers, settings: &Settings) -> Vec<SettingError> {
    let mut faults = Vec::new();
    let mut refuse = |key: &str, message: String| {
        let (key, source) = (key.to_owned(), layers.source(key));
        faults.push(SettingError { key, also: Vec::new(), source, message, hint: None, usage: false });
    };
    for bind in &settings.bind {
        if let Bind::Tcp { host, port } = bind
            && let Err(error) = (host.as_str(), *port).to_socket_addrs()
        {
            refuse("bind", format!("the address of {host} cannot be found: {error}"));
        }
    }
    // A logger of Python's opens its files itself.
    let log = |target: Option<&'_ LogTarget>| match target {
        Some(LogTarget::File(path)) if !settings.logs.python => Some(path.clone()),
        _ => None,
    };
    let files = [
        ("errorlog", "error log", log(Some(&settings.errorlog))),
        ("accesslog", "access log", log(settings.accesslog.as_ref())),
        ("pidfile", "pidfile", settings.pidfile.clone()),
    ];
    for (key, what, path) in files {
        if let Some(Err(error)) = path.map(|path| check_file(&path, what)) {
            refuse(key, error.to_string());
        }
    }
    faults
}

/// Loads the app as a worker would, and lets it go.
fn app(host: &dyn Host, settings: &Settings) -> Result<ExitCode, Stop> {
    let info = WorkerInfo {
        age: 1,
        multiprocess: settings.workers > 1,
        app_threads: settings.threads,
        log_environ: Vec::new(),
    };
    host.loader(settings).load(&info).map_err(Stop::App)?;
    Ok(ExitCode::OK)
}
