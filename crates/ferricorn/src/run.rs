//! The whole program, in order.

use std::ffi::OsString;

use ferricorn_config::Settings;
use ferricorn_protocol::ExitCode;
use ferricorn_telemetry::error_log;

use crate::configuration::{self, Configuration};
use crate::stop::Stop;
use crate::{Host, check, messages};

/// Runs `ferricorn` with this command line, argv\[0\] included, until the server has ended, and returns the
/// exit code. In a worker it returns when that worker has ended, so that the host can end itself as it is used to.
pub fn run(argv: impl IntoIterator<Item = OsString>, host: &dyn Host) -> i32 {
    let code = serve(argv.into_iter().collect(), host).unwrap_or_else(|stop| {
        stop.tell();
        stop.exit()
    });
    i32::from(code.0)
}

fn serve(argv: Vec<OsString>, host: &dyn Host) -> Result<ExitCode, Stop> {
    let configuration = Configuration::new(argv)?;
    let layers = configuration.layers(host)?;
    let resolved = configuration.resolve(&layers, host)?;
    let settings = resolved.settings;
    enter(&settings)?;
    if resolved.print_config {
        messages::answer(layers.report());
    }
    if resolved.check_config {
        return check::app(host, &settings);
    }
    error_log::init(&settings).map_err(|error| Stop::Fault(error.to_string()))?;
    configuration::log(&resolved.notes);
    tracing::debug!("ferricorn {} on {}", env!("CARGO_PKG_VERSION"), host.description());
    Ok(ExitCode::OK)
}

/// Goes to the directory in which relative paths are meant.
fn enter(settings: &Settings) -> Result<(), Stop> {
    std::env::set_current_dir(&settings.chdir).map_err(|error| {
        Stop::Fault(format!("chdir: cannot go to {}: {error}", settings.chdir.display()))
    })
}
