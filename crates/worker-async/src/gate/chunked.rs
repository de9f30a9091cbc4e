//! Follows a chunked body (RFC 9112 section 7.1) to its end, more strictly than hyper, which decodes it.

use super::lexis::is_token;
use super::rules::HeadRules;
use super::trailer::Trailer;

/// All chunk extensions of one body together: they carry nothing that anyone reads (CVE-2023-39326).
const MAX_EXTENSIONS: usize = 8 * 1024;

/// Why a body is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(super) &'static str);

/// What the next byte must be.
#[derive(Debug)]
enum State {
    /// The first digit of a size.
    Start,
    /// A digit, or what ends the size.
    Size,
    /// White space in front of `;`.
    BeforeExtension,
    /// White space, or the first byte of an extension's name.
    ExtensionStart,
    /// A name byte, or what ends the name.
    ExtensionName,
    /// White space behind a name.
    AfterName,
    /// White space, or the first byte of a value.
    ValueStart,
    /// A byte of a value that is a token.
    ValueToken,
    /// A byte of a quoted value.
    Quoted,
    /// The byte behind a backslash.
    Escaped,
    /// What follows the closing quote.
    AfterQuoted,
    /// The LF of the size line.
    SizeLf,
    /// So many bytes of data.
    Data(u64),
    /// The CR behind the data.
    DataCr,
    /// The LF behind the data.
    DataLf,
    /// The trailer section.
    Trailer(Trailer),
    /// Nothing: the body is complete.
    Done,
}

/// A reader of one chunked body.
#[derive(Debug)]
pub(crate) struct ChunkScanner {
    state: State,
    /// The size of the chunk whose size line is read.
    size: u64,
    /// Bytes of that line.
    line: usize,
    /// Bytes of extensions so far.
    extensions: usize,
}

impl ChunkScanner {
    pub(crate) fn new() -> Self {
        Self { state: State::Start, size: 0, line: 0, extensions: 0 }
    }

    /// Whether the last byte of the body has been seen.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Reads on, and gives how many of the bytes belong to the body, its framing included: all, if it is not
    /// done after them.
    ///
    /// # Errors
    /// The fault, with the number of good bytes before it.
    pub(crate) fn consume(&mut self, bytes: &[u8], rules: &HeadRules) -> Result<usize, (usize, Fault)> {
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                State::Data(left) => {
                    let rest = bytes.len() - at;
                    let taken = usize::try_from(left).map_or(rest, |left| left.min(rest));
                    at += taken;
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                }
                State::Done => break,
                _ => {
                    self.step(bytes[at], rules).map_err(|fault| (at, fault))?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8, rules: &HeadRules) -> Result<(), Fault> {
        if let State::Trailer(trailer) = &mut self.state {
            if trailer.step(byte, rules)? {
                self.state = State::Done;
            }
            return Ok(());
        }
        self.line += 1;
        if self.line > rules.field_size {
            return Err(Fault("a chunk size line is too long"));
        }
        self.state = match (&self.state, byte) {
            (State::Start | State::Size, digit) if digit.is_ascii_hexdigit() => {
                self.digit(digit)?;
                State::Size
            }
            (State::Size | State::BeforeExtension, b' ' | b'\t') => State::BeforeExtension,
            (
                State::Size
                | State::BeforeExtension
                | State::ExtensionName
                | State::AfterName
                | State::ValueToken
                | State::AfterQuoted,
                b';',
            ) => State::ExtensionStart,
            (State::Size | State::ExtensionName | State::ValueToken | State::AfterQuoted, b'\r') => {
                State::SizeLf
            }
            (State::SizeLf, b'\n') => self.end_of_size_line(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => self.next_chunk(),
            (State::Start | State::Size, _) => return Err(Fault("a chunk size is not valid")),
            (State::SizeLf, _) => return Err(Fault("a chunk size line does not end in CRLF")),
            (State::DataCr | State::DataLf, _) => return Err(Fault("chunk data does not end in CRLF")),
            (state, byte) => in_extension(state, byte)?,
        };
        self.bound_extensions()
    }

    fn digit(&mut self, digit: u8) -> Result<(), Fault> {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        // 2^63 and more are no body's, as with Content-Length.
        let shifted = self.size.checked_mul(16).filter(|&size| i64::try_from(size).is_ok());
        self.size = shifted.ok_or(Fault("a chunk size is too large"))? | u64::from(value);
        Ok(())
    }

    fn end_of_size_line(&mut self) -> State {
        self.line = 0;
        if self.size == 0 { State::Trailer(Trailer::default()) } else { State::Data(self.size) }
    }

    fn next_chunk(&mut self) -> State {
        self.size = 0;
        self.line = 0;
        State::Start
    }

    /// Counts the byte just read, if it belonged to an extension.
    fn bound_extensions(&mut self) -> Result<(), Fault> {
        if !matches!(
            self.state,
            State::Start
                | State::Size
                | State::SizeLf
                | State::Data(_)
                | State::DataCr
                | State::DataLf
                | State::Trailer(_)
                | State::Done
        ) {
            self.extensions += 1;
            if self.extensions > MAX_EXTENSIONS {
                return Err(Fault("the chunk extensions are too large"));
            }
        }
        Ok(())
    }
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, RFC 9112 section 7.1.1.
fn in_extension(state: &State, byte: u8) -> Result<State, Fault> {
    Ok(match (state, byte) {
        (State::ExtensionStart, b' ' | b'\t') => State::ExtensionStart,
        (State::ExtensionStart | State::ExtensionName, byte) if is_token(byte) => State::ExtensionName,
        (State::ExtensionName | State::AfterName, b' ' | b'\t') => State::AfterName,
        (State::ExtensionName | State::AfterName, b'=') => State::ValueStart,
        (State::ValueStart, b' ' | b'\t') => State::ValueStart,
        (State::ValueStart, b'"') => State::Quoted,
        (State::ValueStart | State::ValueToken, byte) if is_token(byte) => State::ValueToken,
        (State::ValueToken | State::AfterQuoted, b' ' | b'\t') => State::BeforeExtension,
        (State::Quoted, b'"') => State::AfterQuoted,
        (State::Quoted, b'\\') => State::Escaped,
        (State::Quoted | State::Escaped, b'\t' | b' '..=b'~' | 0x80..) => State::Quoted,
        _ => return Err(Fault("a chunk extension is not valid")),
    })
}
