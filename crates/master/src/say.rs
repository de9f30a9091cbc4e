//! Log lines whose level is known only when they are written.

use ferricorn_config::LogLevel;

/// Logs a line. `Critical` is an error record marked `critical`, which the log shows as gunicorn's CRITICAL.
pub(crate) fn say(level: LogLevel, line: &str) {
    match level {
        LogLevel::Debug => tracing::debug!("{line}"),
        LogLevel::Info => tracing::info!("{line}"),
        LogLevel::Warning => tracing::warn!("{line}"),
        LogLevel::Error => tracing::error!("{line}"),
        LogLevel::Critical => tracing::error!(critical = true, "{line}"),
    }
}
