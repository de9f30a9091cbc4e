//! Sends records to a syslog, in gunicorn's form: `<14>gunicorn.shop.error: [4711] message`.

use std::io;

use ferricorn_config::{LogLevel, SyslogSettings};

use super::{Health, Remote};

/// What most daemons take as one message, in bytes; the rest is cut off.
const LONGEST: usize = 8192;

/// What messages call it.
pub(super) const WHAT: &str = "syslog";

/// A syslog, and what stands in front of each message.
#[derive(Debug)]
pub(crate) struct Syslog {
    remote: Remote,
    facility: u8,
    tag: String,
    /// Whether messages say their pid themselves.
    bare: bool,
    message: Vec<u8>,
    health: Health,
}

impl Syslog {
    /// `log` is `error` or `access`; `bare` messages get no pid in front.
    pub(crate) fn open(settings: &SyslogSettings, log: &str, bare: bool) -> io::Result<Self> {
        let remote = Remote::open(&settings.address)
            .map_err(|error| io::Error::new(error.kind(), format!("syslog_addr: {error}")))?;
        let tag = format!("{}.{log}: ", settings.program);
        let (message, health) = (Vec::new(), Health::of(WHAT, &settings.address));
        Ok(Self { remote, facility: settings.facility, tag, bare, message, health })
    }

    /// Sends a message; returns what there is to tell the operator about that.
    pub(crate) fn send(&mut self, level: LogLevel, text: &[u8]) -> Option<String> {
        if let Remote::Stream(stream) = &mut self.remote
            && let Some(lost) = stream.take_lost()
        {
            let text =
                format!("{lost} messages for syslog were lost: it was too slow, or could not be reached");
            // What comes of the next message says as much.
            let _ = self.write(LogLevel::Warning, text.as_bytes());
        }
        let sent = self.write(level, text);
        self.health.news(&sent)
    }

    fn write(&mut self, level: LogLevel, text: &[u8]) -> io::Result<()> {
        let priority = self.facility * 8 + severity(level);
        self.message.clear();
        self.message.extend_from_slice(format!("<{priority}>{}", self.tag).as_bytes());
        if !self.bare {
            self.message.extend_from_slice(format!("[{}] ", std::process::id()).as_bytes());
        }
        self.message.extend_from_slice(text);
        self.message.truncate(LONGEST);
        self.remote.send(&self.message)
    }
}

/// RFC 5424, section 6.2.1, as Python's handler maps its levels.
fn severity(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 7,
        LogLevel::Info => 6,
        LogLevel::Warning => 4,
        LogLevel::Error => 3,
        LogLevel::Critical => 2,
    }
}
