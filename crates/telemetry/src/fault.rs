//! Tells of faults, with what has raised them where a logger makes more of that than text.

use ferricorn_protocol::{AppFault, Cause, LoadError};

use crate::error_log;

/// Logs a fault of the app at level error, with its traceback if it has one, unless somebody has told it already.
/// `what` is the line before it.
pub fn tell_fault(what: &str, fault: &AppFault) {
    if fault.told {
        return;
    }
    match &fault.traceback {
        Some(traceback) => tell(what, traceback, fault.cause.as_ref()),
        None => tracing::error!("{what}: {fault}"),
    }
}

/// Logs why the app could not be loaded.
pub fn tell_load_error(error: &LoadError) {
    match &error.traceback {
        Some(traceback) => tell(&error.message, traceback, error.cause.as_ref()),
        None => tracing::error!("{}", error.message),
    }
}

fn tell(what: &str, traceback: &str, cause: Option<&Cause>) {
    let traceback = traceback.trim_end();
    let taken = cause.is_some_and(|cause| {
        error_log::installed().is_some_and(|log| log.take_fault(what, traceback, cause))
    });
    if !taken {
        tracing::error!("{what}\n{traceback}");
    }
}
