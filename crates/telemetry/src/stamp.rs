//! The text of the current second, in local time, worked out once a second.

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
    fn the_text_follows_the_second() {
        let mut stamp = Stamp::new("[%S %Y]");
        assert_eq!(stamp.at(1_795_350_847), "[07 2026]");
        assert_eq!(stamp.at(1_795_350_847), "[07 2026]");
        assert_eq!(stamp.at(1_795_350_848), "[08 2026]");
    }
}
