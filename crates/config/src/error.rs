//! What is wrong with the settings, told to whoever set them.

use std::fmt;

/// A setting whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The setting's name.
    pub key: String,
    /// The names of further settings with the same fault.
    pub also: Vec<&'static str>,
    /// Where its value came from, such as `the command line, --workers` or `/srv/gunicorn.conf.py, line 3`.
    pub source: String,
    /// What is wrong: the value and what was expected.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether the command line gave something that is not even of the right type, which is a usage error.
    pub usage: bool,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        self.also.iter().try_for_each(|key| write!(f, ", {key}"))?;
        write!(f, ": {} (from {})", self.message, self.source)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SettingError {}
