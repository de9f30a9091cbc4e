//! `--daemon`: whether the server may go to the background, and that it does.

use std::cell::RefCell;

use ferricorn_config::Settings;
use ferricorn_unix::background::{self, Outputs, Parting};
use ferricorn_unix::{systemd, upgrade};

use crate::Host;
use crate::stop::Stop;

/// Somebody who waits for the start of the server, if it is in the background.
#[derive(Debug, Default)]
pub(crate) struct Waiting(RefCell<Option<(Parting, Outputs)>>);

/// Goes to the background if the settings want it. A master that was started by the one before it is there already.
///
/// # Errors
/// It cannot, or would end with whatever has started it.
pub(crate) fn enter(settings: &Settings, host: &dyn Host) -> Result<Waiting, Stop> {
    if !settings.daemon || upgrade::is_successor() {
        return Ok(Waiting::default());
    }
    if std::process::id() == 1 {
        return Err(Stop::Fault(
            "daemon: this is process 1, and the container would end when it goes to the background; remove --daemon"
                .to_owned(),
        ));
    }
    let outputs = match settings.logs.capture_output || settings.enable_stdio_inheritance {
        true => Outputs::Kept,
        false => Outputs::Closed,
    };
    let parting = background::enter(|| host.fork());
    let parting =
        parting.map_err(|error| Stop::Fault(format!("daemon: cannot go to the background: {error}")))?;
    Ok(Waiting(RefCell::new(Some((parting, outputs)))))
}

/// Tells what is odd about it, once there is a log.
pub(crate) fn warn(settings: &Settings) {
    if settings.daemon && systemd::is_notified() {
        tracing::warn!(
            "daemon: systemd loses sight of a server in the background, and ends the service; remove --daemon (NOTIFY_SOCKET \
             is set)"
        );
    }
}

impl Waiting {
    /// The server has begun: whoever waits may go.
    pub(crate) fn end(&self) {
        if let Some((parting, outputs)) = self.0.take()
            && let Err(error) = parting.part(outputs)
        {
            tracing::error!("daemon: cannot let go of the standard streams: {error}");
        }
    }
}
