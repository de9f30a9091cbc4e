//! The request line (RFC 9112 section 3): method, target, version.

use std::ops::Range;

use http::Uri;

use ferricorn_config::Grammar;

use super::lexis::is_token;
use super::refusal::Refusal;

/// The longest method that passes; every registered one is shorter.
const MAX_METHOD: usize = 20;

/// A good request line.
#[derive(Clone, Debug)]
pub(super) struct RequestLine {
    /// Where in the line the target stands.
    pub(super) target: Range<usize>,
    /// What `http::Uri` does to the target.
    pub(super) form: Form,
    /// The two digits of the version.
    pub(super) version: (u8, u8),
    /// Whether hyper needs another version, or the method in upper case.
    pub(super) odd: bool,
    /// Whether the method is CONNECT, after which no further request is read.
    pub(super) connect: bool,
}

/// What `http::Uri` does to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It gives it back as it was.
    Same,
    /// It takes it, but its path is not the whole target.
    Kept,
    /// It would refuse it or cut it; see [`encode`].
    Encoded,
}

/// A target byte that hyper takes as it is.
const PLAIN: u8 = 0;
/// A target byte that `http::Uri` refuses, or, in the case of `#`, cuts away with what follows.
const ODD: u8 = 1;
/// A byte that no target may hold.
const WRONG: u8 = 2;

/// The class of each byte in a target.
static TARGET: [u8; 256] = target_classes();

const fn target_classes() -> [u8; 256] {
    let mut table = [WRONG; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = match byte as u8 {
            b'"' | b'#' | b'<' | b'>' | b'`' => ODD,
            _ => PLAIN,
        };
        byte += 1;
    }
    table
}

/// A method that has arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Method {
    /// Its bytes.
    pub(super) length: usize,
    /// Whether it must be turned into upper case.
    fold: bool,
}

/// Checks the method as far as it has arrived: upper-case, a token, no `#`, 3 to 20 bytes (gunicorn's rule).
///
/// Gives it once the space behind it is there.
///
/// # Errors
/// The line cannot become a request line any more.
#[inline]
pub(super) fn method(line: &[u8], grammar: Grammar) -> Result<Option<Method>, Refusal> {
    for (at, &byte) in line.iter().take(MAX_METHOD + 1).enumerate() {
        match byte {
            b'A'..=b'Z' => {}
            b' ' if at >= 3 => return Ok(Some(Method { length: at, fold: false })),
            b'a'..=b'z' | b'#' | b' ' => return odd_method(line, grammar),
            byte if is_token(byte) => {}
            _ => return Err(WRONG_METHOD),
        }
    }
    if line.len() > MAX_METHOD { odd_method(line, grammar) } else { Ok(None) }
}

/// A method that is not of gunicorn's kind, but perhaps a token.
#[cold]
fn odd_method(line: &[u8], grammar: Grammar) -> Result<Option<Method>, Refusal> {
    if !grammar.permit_unconventional_http_method {
        return Err(WRONG_METHOD);
    }
    match line.iter().position(|&byte| !is_token(byte)) {
        None => Ok(None),
        Some(length @ 1..) if line[length] == b' ' => {
            let lower = line[..length].iter().any(u8::is_ascii_lowercase);
            Ok(Some(Method { length, fold: lower && grammar.casefold_http_method }))
        }
        Some(_) => Err(WRONG_METHOD),
    }
}

const WRONG_METHOD: Refusal = Refusal::bad("the request does not begin with an HTTP method");
const WRONG_TARGET: Refusal = Refusal::bad("the request target is not valid");
const WRONG_VERSION: Refusal = Refusal::bad("the request line does not end in a supported HTTP version");

/// Checks a whole request line, without its CRLF.
///
/// # Errors
/// The rule that it breaks.
#[inline]
pub(super) fn request_line(line: &[u8], grammar: Grammar) -> Result<RequestLine, Refusal> {
    let Some(method) = method(line, grammar)? else { return Err(WRONG_METHOD) };
    let start = method.length + 1;
    let (end, version) = match line {
        [front @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] => {
            (front.len(), (1, minor - b'0'))
        }
        [front @ .., b' ', b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9']
            if grammar.permit_unconventional_http_version =>
        {
            (front.len(), (major - b'0', minor - b'0'))
        }
        _ => return Err(WRONG_VERSION),
    };
    let Some(target) = line.get(start..end) else { return Err(WRONG_TARGET) };
    let classes = target.iter().fold(PLAIN, |classes, &byte| classes | TARGET[byte as usize]);
    if classes & WRONG != 0 {
        return Err(WRONG_TARGET);
    }
    let is = |name: &[u8]| {
        let sent = &line[..method.length];
        sent == name || (method.fold && sent.eq_ignore_ascii_case(name))
    };
    let connect = is(b"CONNECT");
    let form = match target {
        [b'/', ..] if classes == PLAIN && !connect => Form::Same,
        b"*" if is(b"OPTIONS") => Form::Same,
        b"" | b"*" => return Err(WRONG_TARGET),
        _ => odd_form(target, connect)?,
    };
    let odd = method.fold || !matches!(version, (1, 0 | 1));
    Ok(RequestLine { target: start..end, form, version, odd, connect })
}

/// Judges a target that is not an ordinary path, with the very code that hyper will use.
#[cold]
fn odd_form(target: &[u8], connect: bool) -> Result<Form, Refusal> {
    let encoded = encode(target);
    let uri = Uri::try_from(encoded.as_slice()).map_err(|_| WRONG_TARGET)?;
    let good = match (uri.scheme_str(), uri.authority()) {
        // CONNECT and the authority-form belong together (RFC 9112 section 3.2.3).
        // Without its fragment, `*#` would be an asterisk.
        (None, None) => !connect && target.starts_with(b"/"),
        (None, Some(_)) => connect,
        (Some(scheme), _) => !scheme.is_empty() && !connect,
    };
    if !good {
        return Err(WRONG_TARGET);
    }
    Ok(if encoded == target { Form::Kept } else { Form::Encoded })
}

/// The target in a form that `http::Uri` accepts: odd bytes percent-encoded, the fragment left out.
pub(super) fn encode(target: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(target.len() + 8);
    for &byte in target {
        match byte {
            b'#' => break,
            _ if TARGET[byte as usize] == PLAIN => encoded.push(byte),
            _ => encoded.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    encoded
}
