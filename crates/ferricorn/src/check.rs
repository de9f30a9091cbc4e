//! `--check-config`: loads the app in this process and says whether that went well.

use ferricorn_config::Settings;
use ferricorn_protocol::{ExitCode, WorkerInfo};

use crate::Host;
use crate::stop::Stop;

/// Loads the app as a worker would, and lets it go.
pub(crate) fn app(host: &dyn Host, settings: &Settings) -> Result<ExitCode, Stop> {
    let info = WorkerInfo {
        age: 1,
        multiprocess: settings.workers > 1,
        app_threads: settings.threads,
        log_environ: Vec::new(),
    };
    host.loader(settings).load(&info).map_err(Stop::App)?;
    Ok(ExitCode::OK)
}
