//! One record of the error log, and its two forms: a line as gunicorn writes it, and a JSON object.

use std::fmt::{self, Write};

use ferricorn_config::LogLevel;
use tracing::field::{Field, Visit};

use crate::escape::Sanitizer;
use crate::json::push_string;
use crate::stamp::Stamp;

/// A record, as it was made.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) level: LogLevel,
    pub(super) message: String,
    fields: Vec<(&'static str, Value)>,
}

/// A value that goes with a message.
#[derive(Debug)]
enum Value {
    /// A number or a boolean.
    Bare(String),
    Text(String),
    /// As its `Debug` shows it.
    Other(String),
}

impl Record {
    /// A record without fields; more may be recorded.
    pub(super) fn new(level: LogLevel, message: String) -> Self {
        Self { level, message, fields: Vec::new() }
    }

    /// The message, and behind it the fields, made safe for a line.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.message.len());
        let mut out = Sanitizer(&mut text);
        // Writing to a string does not fail.
        let _ = out.write_str(&self.message);
        for (name, value) in &self.fields {
            let _ = match value {
                Value::Text(value) => write!(out, " {name}={value:?}"),
                Value::Bare(value) | Value::Other(value) => write!(out, " {name}={value}"),
            };
        }
        text.truncate(text.trim_end_matches('\n').len());
        text
    }

    /// Appends the object, without a line's end. `stream` is where the message was written to, if that was no log.
    pub(super) fn push_json(&self, out: &mut Vec<u8>, stamp: &mut Stamp, stream: Option<&str>) {
        out.extend_from_slice(b"{\"time\":");
        stamp.push_precise(out);
        let pid = std::process::id();
        out.extend_from_slice(format!(",\"level\":\"{}\",\"pid\":{pid}", name(self.level)).as_bytes());
        if let Some(stream) = stream {
            out.extend_from_slice(b",\"stream\":");
            push_string(out, stream.as_bytes());
        }
        out.extend_from_slice(b",\"message\":");
        push_string(out, self.message.trim_end_matches('\n').as_bytes());
        let mut before: &[u8] = b",\"fields\":{";
        for (name, value) in &self.fields {
            out.extend_from_slice(before);
            before = b",";
            push_string(out, name.as_bytes());
            out.push(b':');
            match value {
                Value::Bare(value) => out.extend_from_slice(value.as_bytes()),
                Value::Text(value) | Value::Other(value) => push_string(out, value.as_bytes()),
            }
        }
        out.extend_from_slice(if self.fields.is_empty() { b"}" } else { b"}}" });
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => {
                // The `Debug` of the value may fail itself; what it has written by then stays.
                let _ = write!(self.message, "{value:?}");
            }
            "critical" => {}
            name => self.fields.push((name, Value::Other(format!("{value:?}")))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => self.fields.push((name, Value::Text(value.to_owned()))),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Value::Bare(value.to_string())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Value::Bare(value.to_string())));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() != "critical" {
            self.fields.push((field.name(), Value::Bare(value.to_string())));
        }
    }
}

/// Python's name of the level.
pub(super) fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warning => "WARNING",
        LogLevel::Error => "ERROR",
        LogLevel::Critical => "CRITICAL",
    }
}
