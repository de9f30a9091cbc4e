//! The text of the current second, in local time, worked out once a second.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{Local, TimeZone};

/// A formatted time that is kept for as long as its second lasts.
#[derive(Debug)]
pub(crate) struct Stamp {
    format: &'static str,
    second: i64,
    text: String,
}

impl Stamp {
    /// `format` is one of `strftime`.
    pub(crate) fn new(format: &'static str) -> Self {
        Self { format, second: i64::MIN, text: String::new() }
    }

    /// The time of JSON lines, for [`Stamp::push_precise`]: RFC 3339, cut where the fraction comes.
    pub(crate) fn precise() -> Self {
        Self::new("%Y-%m-%dT%H:%M:%S|%:z")
    }

    /// Appends `"2026-11-22T12:38:47.001234+01:00"`.
    pub(crate) fn push_precise(&mut self, out: &mut Vec<u8>) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = self.at(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        let (time, zone) = text.split_once('|').unwrap_or((text, ""));
        // Writing to a vector does not fail.
        let _ = write!(out, "\"{time}.{:06}{zone}\"", since.subsec_micros());
    }

    /// The text for now.
    pub(crate) fn now(&mut self) -> &str {
        // A clock before 1970 is not set yet; its logs may as well say so.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.at(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    fn at(&mut self, second: i64) -> &str {
        if second != self.second {
            self.second = second;
            self.text = match Local.timestamp_opt(second, 0).earliest() {
                Some(time) => time.format(self.format).to_string(),
                None => format!("[{second}]"),
            };
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_precise_time_is_that_of_rfc_3339() {
        let mut out = Vec::new();
        Stamp::precise().push_precise(&mut out);
        let text: String = serde_json::from_slice(&out).unwrap();
        assert_eq!(text.len(), "2026-11-22T12:38:47.001234+01:00".len());
        chrono::DateTime::parse_from_rfc3339(&text).unwrap();
    }

    #[test]
    fn the_text_follows_the_second() {
        let mut stamp = Stamp::new("[%S %Y]");
        assert_eq!(stamp.at(1_795_350_847), "[07 2026]");
        assert_eq!(stamp.at(1_795_350_847), "[07 2026]");
        assert_eq!(stamp.at(1_795_350_848), "[08 2026]");
    }
}
