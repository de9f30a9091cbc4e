//! Takes the records of `tracing` for the error log.

use ferricorn_config::LogLevel;
use tracing::level_filters::LevelFilter;
use tracing::span::{self, Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use super::ErrorLog;
use super::record::Record;

/// Crates whose debug records are shown; those of others would drown them.
const OURS: &str = "ferricorn";

/// The subscriber. It knows events only: spans are turned off where they are made, so that the `tracing` of
/// libraries costs nothing.
pub(super) struct Records {
    log: ErrorLog,
}

impl Records {
    pub(super) fn new(log: ErrorLog) -> Self {
        Self { log }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let Some(level) = severity(metadata) else { return false };
        let ours = metadata.target().starts_with(OURS);
        metadata.is_event() && (ours || level > LogLevel::Debug) && self.log.shows(level)
    }
}

/// Python's level of a record; none for one that is only a trace. A record with a field `critical` is that.
fn severity(metadata: &Metadata<'_>) -> Option<LogLevel> {
    match *metadata.level() {
        Level::ERROR if metadata.fields().field("critical").is_some() => Some(LogLevel::Critical),
        Level::ERROR => Some(LogLevel::Error),
        Level::WARN => Some(LogLevel::Warning),
        Level::INFO => Some(LogLevel::Info),
        Level::DEBUG => Some(LogLevel::Debug),
        _ => None,
    }
}

impl Subscriber for Records {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        [
            (LogLevel::Debug, LevelFilter::DEBUG),
            (LogLevel::Info, LevelFilter::INFO),
            (LogLevel::Warning, LevelFilter::WARN),
        ]
        .into_iter()
        .find_map(|(level, filter)| self.log.shows(level).then_some(filter))
        .or(Some(LevelFilter::ERROR))
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(level) = severity(event.metadata()) {
            let mut record = Record::new(level, String::new());
            event.record(&mut record);
            self.log.write_record(&record);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
