//! `--check-config`: loads the app in this process and says whether that went well, and what differs from gunicorn.

use std::fmt::Write;

use ferricorn_config::compared::GUNICORN;
use ferricorn_config::{Layers, Note, Resolved, Settings};
use ferricorn_protocol::{ExitCode, WorkerInfo};

use crate::stop::Stop;
use crate::{Host, messages};

/// Checks all, and tells what there is to tell of it, unless the settings were printed already.
pub(crate) fn all(host: &dyn Host, layers: &Layers, resolved: &Resolved) -> Result<ExitCode, Stop> {
    let code = app(host, &resolved.settings)?;
    if !resolved.print_config {
        messages::answer(report(layers, &resolved.notes));
    }
    Ok(code)
}

/// What whoever comes from gunicorn should know. The text is for people, and may change.
fn report(layers: &Layers, notes: &[Note]) -> String {
    let mut text = "The configuration is good, and the application loads.\n".to_owned();
    let mut chapter = |title: String, lines: Vec<String>| {
        if !lines.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{title}\n\n  {}\n", lines.join("\n  "));
        }
    };
    chapter("To be noted:".to_owned(), notes.iter().map(|note| note.message.clone()).collect());
    chapter(format!("What differs from gunicorn {GUNICORN}:"), layers.differences());
    text
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
