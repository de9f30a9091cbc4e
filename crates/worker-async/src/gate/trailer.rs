//! The trailer section behind the last chunk (RFC 9112 section 7.1.2).

use super::chunked::Fault;
use super::lexis::is_token;
use super::rules::HeadRules;

/// The whole section; hyper's own limit is 16 KiB.
const MAX_TRAILERS: usize = 16 * 1024 - 1;

/// Names that may not come as trailers (RFC 9110 section 6.5.1; gunicorn's list).
const FORBIDDEN: [&[u8]; 6] =
    [b"host", b"content-length", b"transfer-encoding", b"trailer", b"authorization", b"te"];

/// The longest forbidden name.
const LONGEST: usize = 17;

/// What the next byte must be.
#[derive(Debug, Default)]
enum State {
    /// The first byte of a line.
    #[default]
    Start,
    /// A byte of a field name, or the colon.
    Name,
    /// A byte of a field value, or the CR.
    Value,
    /// The LF of a field line.
    Lf,
    /// The LF of the blank line.
    LastLf,
}

/// A reader of one trailer section.
#[derive(Debug, Default)]
pub(super) struct Trailer {
    state: State,
    /// The beginning of the field name, to compare it with the forbidden ones.
    name: [u8; LONGEST],
    /// Bytes of the name; more than `LONGEST` means that it is none of them.
    name_length: usize,
    /// Bytes of the line.
    line: usize,
    /// Bytes of the section.
    total: usize,
    /// Fields.
    fields: usize,
}

impl Trailer {
    /// Reads one byte; true after the last one.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn step(&mut self, byte: u8, rules: &HeadRules) -> Result<bool, Fault> {
        self.line += 1;
        self.total += 1;
        if self.line > rules.field_size || self.total > MAX_TRAILERS {
            return Err(Fault("the trailers are too large"));
        }
        self.state = match (&self.state, byte) {
            (State::Start, b'\r') => State::LastLf,
            (State::LastLf, b'\n') => return Ok(true),
            (State::Start | State::Name, byte) if is_token(byte) => {
                self.begin_field(rules)?;
                self.keep(byte);
                State::Name
            }
            (State::Name, b':') => {
                self.check_name()?;
                State::Value
            }
            (State::Value, b'\r') => State::Lf,
            (State::Value, b'\t' | b' '..=b'~' | 0x80..) => State::Value,
            (State::Lf, b'\n') => {
                self.line = 0;
                self.name_length = 0;
                State::Start
            }
            _ => return Err(Fault("a trailer is not valid")),
        };
        Ok(false)
    }

    fn begin_field(&mut self, rules: &HeadRules) -> Result<(), Fault> {
        if matches!(self.state, State::Start) {
            self.fields += 1;
            // hyper takes 100 of them, whatever the setting says.
            if self.fields > rules.fields.min(100) {
                return Err(Fault("there are too many trailers"));
            }
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) {
        if let Some(place) = self.name.get_mut(self.name_length) {
            *place = byte.to_ascii_lowercase();
        }
        self.name_length += 1;
    }

    fn check_name(&self) -> Result<(), Fault> {
        match self.name.get(..self.name_length) {
            Some(name) if FORBIDDEN.contains(&name) => Err(Fault("a trailer may not bear this name")),
            _ => Ok(()),
        }
    }
}
