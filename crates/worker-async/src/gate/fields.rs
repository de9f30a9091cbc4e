//! The header fields of a head (RFC 9110 section 5, RFC 9112 sections 5 and 6): grammar, duplicates, framing.

use super::lexis::{is_field_value, token_prefix, trim};
use super::refusal::Refusal;

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, of which the last is empty.
    Chunked,
}

/// A field line begins with white space.
pub(super) const FOLDED: Refusal = Refusal::bad("a header is folded over several lines");
/// A field line has no name with a colon directly behind it.
pub(super) const WRONG_NAME: Refusal = Refusal::bad("a header name is not valid");

/// What the fields seen so far say.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// How many there are.
    pub(super) count: usize,
    /// Whether a name contains `_`.
    pub(super) underscores: bool,
    /// Whether the body is coded in a way that the connection ends with it.
    pub(super) last: bool,
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    /// Whether there is a Host.
    pub(super) host: bool,
    content_type: bool,
    /// Whether the Upgrade field names WebSockets (RFC 6455 section 4.1).
    pub(super) websocket: bool,
}

impl Fields {
    /// Takes in one field line, without its CRLF. `old` says that the version is below 1.1.
    ///
    /// # Errors
    /// The rule that it breaks.
    #[inline]
    pub(super) fn field(&mut self, line: &[u8], old: bool) -> Result<(), Refusal> {
        let (name_length, underscores) = token_prefix(line);
        let (name, rest) = line.split_at(name_length);
        let [b':', value @ ..] = rest else { return Err(wrong_name(line)) };
        if name.is_empty() {
            return Err(Refusal::bad("a header has no name"));
        }
        if !is_field_value(value) {
            return Err(Refusal::bad("a header value contains a control character"));
        }
        self.count += 1;
        self.underscores |= underscores;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(trim(value)),
            6 if name.eq_ignore_ascii_case(b"expect") => expect(trim(value), old),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.websocket |= value.split(|&byte| byte == b',').any(is_websocket);
                Ok(())
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                once(&mut self.content_type, "the Content-Type header is there twice")
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(trim(value)),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value, old),
            _ => Ok(()),
        }
    }

    /// The framing, once all fields are there.
    ///
    /// # Errors
    /// The fields contradict each other.
    pub(super) fn framing(&self) -> Result<Framing, Refusal> {
        match (self.coded, self.length) {
            (false, None | Some(0)) => Ok(Framing::None),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (true, Some(_)) => Err(Refusal::bad("Content-Length and Transfer-Encoding are both there")),
            (true, None) if self.chunked => Ok(Framing::Chunked),
            (true, None) => Err(Refusal::bad("the last transfer coding is not chunked")),
        }
    }

    /// Once; and a host and port, not a URI (RFC 9110 section 7.2).
    fn host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        once(&mut self.host, "the Host header is there twice")?;
        if is_host(value) { Ok(()) } else { Err(Refusal::bad("the Host header is not a host")) }
    }

    /// Once, and digits only. Above 2^63 no file and no body can be, so nothing needs to wrap round.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        const WRONG: Refusal = Refusal::bad("the Content-Length header is not one number");
        if self.length.is_some() || value.is_empty() {
            return Err(WRONG);
        }
        let mut length = 0_i64;
        for &byte in value {
            if !byte.is_ascii_digit() {
                return Err(WRONG);
            }
            let digit = i64::from(byte - b'0');
            length = length.checked_mul(10).and_then(|tens| tens.checked_add(digit)).ok_or(WRONG)?;
        }
        self.length = Some(length.unsigned_abs());
        Ok(())
    }

    /// `chunked` once and last; before it only codings that leave the framing alone (RFC 9112 section 6.1).
    fn transfer_encoding(&mut self, value: &[u8], old: bool) -> Result<(), Refusal> {
        if old {
            return Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding"));
        }
        self.coded = true;
        for coding in value.split(|&byte| byte == b',').map(trim) {
            let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
            if coding.is_empty() {
                return Err(Refusal::bad("the Transfer-Encoding header names no coding"));
            }
            let chunked = is("chunked");
            let body_coded = is("gzip") || is("deflate") || is("compress");
            if !chunked && !body_coded && !is("identity") {
                return Err(Refusal::unknown_coding());
            }
            if self.chunked {
                return Err(Refusal::bad("chunked is not the last transfer coding"));
            }
            self.chunked = chunked;
            self.last |= body_coded;
        }
        Ok(())
    }
}

/// Why a line is no field: told apart for whoever must find the client's fault.
#[cold]
fn wrong_name(line: &[u8]) -> Refusal {
    match line.first() {
        Some(b' ' | b'\t') => FOLDED,
        _ => WRONG_NAME,
    }
}

/// `uri-host [ ":" port ]`, RFC 9110 section 7.2, where host and port may be empty (RFC 3986 section 3.2.2).
fn is_host(value: &[u8]) -> bool {
    let (good, port) = match value {
        [b'[', address @ ..] => {
            let length = address
                .iter()
                .take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b':' | b'.'))
                .count();
            match &address[length..] {
                [b']', port @ ..] => (length > 0, port),
                _ => (false, [].as_slice()),
            }
        }
        _ => {
            let length = value.iter().take_while(|&&byte| REG_NAME[byte as usize]).count();
            (true, &value[length..])
        }
    };
    good && match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    }
}

/// The bytes of a `reg-name` (RFC 3986 section 3.2.2); but not the comma, which may stand between two hosts.
static REG_NAME: [bool; 256] = reg_name();

const fn reg_name() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = matches!(
            byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$'
                | b'&'..=b'+' | b';' | b'='
        );
        byte += 1;
    }
    table
}

/// Whether a TCP port can have the number; none is the one of the scheme.
fn is_port(digits: &[u8]) -> bool {
    let number = digits.iter().fold(0_u32, |number, &byte| {
        let digit = if byte.is_ascii_digit() { u32::from(byte - b'0') } else { u32::MAX };
        number.saturating_mul(10).saturating_add(digit)
    });
    number <= u32::from(u16::MAX)
}

/// Whether an element of Upgrade names the protocol (RFC 9110 section 7.8); a version may stand behind it.
fn is_websocket(element: &[u8]) -> bool {
    let name = element.split(|&byte| byte == b'/').next().unwrap_or_default();
    trim(name).eq_ignore_ascii_case(b"websocket")
}

/// Whether the Connection field of a good head lists `upgrade`. Without it Upgrade was not meant for this server, but for
/// one on the way, and does not count (RFC 9110 section 7.8). Only heads that name the protocol are read again for it.
#[cold]
pub(super) fn lists_upgrade(head: &[u8]) -> bool {
    head.split(|&byte| byte == b'\n').any(|line| {
        let (name, rest) = line.split_at(token_prefix(line).0);
        name.eq_ignore_ascii_case(b"connection")
            && rest.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b"\r")).is_some_and(|value| {
                value.split(|&byte| byte == b',').any(|option| trim(option).eq_ignore_ascii_case(b"upgrade"))
            })
    })
}

fn once(seen: &mut bool, why: &'static str) -> Result<(), Refusal> {
    if std::mem::replace(seen, true) { Err(Refusal::bad(why)) } else { Ok(()) }
}

/// HTTP/1.0 knows no expectations: they are ignored there.
fn expect(value: &[u8], old: bool) -> Result<(), Refusal> {
    if old || value.eq_ignore_ascii_case(b"100-continue") { Ok(()) } else { Err(Refusal::expectation()) }
}
