//! Finds the end of a request head and holds it against the rules, line by line.

use std::ops::Range;

use ferricorn_config::Grammar;
use memchr::memchr;

use super::fields::{Fields, Framing, lists_upgrade};
use super::refusal::Refusal;
use super::rules::HeadRules;
use super::target::{self, Form, RequestLine};

/// The outcome of a look at the bytes received so far.
#[derive(Debug)]
pub(crate) enum Scan {
    /// Nothing is wrong yet, and the end is not there.
    Incomplete,
    /// A good head stands at the beginning.
    Whole(Head),
    /// What stands there is not and cannot become a good head.
    Refused(Refusal),
}

/// A good head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its bytes, a leading CRLF and the blank line included.
    pub(crate) length: usize,
    /// The framing of the body behind it.
    pub(crate) framing: Framing,
    /// Whether a field name contains `_`.
    pub(crate) underscores: bool,
    /// Whether no other request may follow on this connection.
    pub(crate) last: bool,
    /// Whether a WebSocket is asked for, so that what follows may be no request.
    pub(crate) websocket: bool,
    /// Where the target stands.
    pub(super) target: Range<usize>,
    /// Whether the target must be kept, because hyper's URI does not give it back.
    pub(super) keep_target: bool,
    /// The two digits of the version.
    pub(super) version: (u8, u8),
    /// Whether hyper needs another head in its place; see [`Head::rewritten`].
    pub(super) rewrite: bool,
}

impl Head {
    /// This head, whose bytes are given, in a form that hyper accepts: the target percent-encoded where
    /// `http::Uri` demands it and without fragment, and a version that is not 1.0 or 1.1 called by the one of
    /// them that it is served as. The method becomes upper case if that is wanted.
    pub(super) fn rewritten(&self, bytes: &[u8], grammar: Grammar) -> Vec<u8> {
        const VERSION: &[u8] = b" HTTP/1.";
        let target = &bytes[self.target.clone()];
        let mut head = Vec::with_capacity(self.length + 16);
        head.extend_from_slice(&bytes[..self.target.start]);
        if grammar.casefold_http_method {
            head.make_ascii_uppercase();
        }
        head.extend(target::encode(target));
        head.extend_from_slice(VERSION);
        head.push(if self.version < (1, 1) { b'0' } else { b'1' });
        head.extend_from_slice(&bytes[self.target.end + VERSION.len() + 1..self.length]);
        head
    }
}

/// Reads one head. Its positions count from the head's first byte, and it remembers how far it came, so that
/// a head that arrives byte by byte costs no more than one that arrives whole.
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    /// Where the line that is being read begins.
    line: usize,
    /// Up to where there is no LF.
    searched: usize,
    /// Whether the one CRLF that may stand before the request line was there.
    skipped: bool,
    /// The request line and where it begins.
    request: Option<(usize, RequestLine)>,
    fields: Fields,
}

impl HeadScanner {
    /// Looks at the bytes received so far, which must begin with those of the calls before.
    #[inline]
    pub(crate) fn scan(&mut self, buffer: &[u8], rules: &HeadRules) -> Scan {
        match self.lines(buffer, rules) {
            Ok(None) => Scan::Incomplete,
            Ok(Some(head)) => Scan::Whole(head),
            Err(refusal) => Scan::Refused(refusal),
        }
    }

    fn lines(&mut self, buffer: &[u8], rules: &HeadRules) -> Result<Option<Head>, Refusal> {
        loop {
            let Some(distance) = memchr(b'\n', &buffer[self.searched..]) else {
                self.searched = buffer.len();
                return self.unfinished(&buffer[self.line..], buffer.len(), rules).map(|()| None);
            };
            let end = self.searched + distance;
            let line = &buffer[self.line..end];
            if let Some(mut head) = self.finished(line, end + 1, rules)? {
                head.websocket = head.websocket && lists_upgrade(&buffer[..head.length]);
                return Ok(Some(head));
            }
            self.line = end + 1;
            self.searched = end + 1;
        }
    }

    /// Judges a line that ended in LF, which is left out.
    fn finished(&mut self, line: &[u8], end: usize, rules: &HeadRules) -> Result<Option<Head>, Refusal> {
        let Some((start, request)) = &self.request else {
            return self.first(line, rules).map(|()| None);
        };
        if line == b"\r" {
            return whole(*start, request, &self.fields, end, rules).map(Some);
        }
        limits(line, end, &self.fields, rules)?;
        self.fields.field(without_cr(line)?, request.version < (1, 1))?;
        Ok(None)
    }

    /// The request line, or the CRLF before it.
    fn first(&mut self, line: &[u8], rules: &HeadRules) -> Result<(), Refusal> {
        if line == b"\r" && !self.skipped {
            self.skipped = true;
            return Ok(());
        }
        let whole = match line {
            // Nothing of what is looked at before the end of a line can be wrong with it alone.
            [whole @ .., b'\r'] if whole.len() <= rules.line => whole,
            _ => {
                request_begins(line, rules)?;
                without_cr(line)?
            }
        };
        self.request = Some((self.line, target::request_line(whole, rules.grammar)?));
        Ok(())
    }

    /// Judges a line whose end has not arrived, so that no limit is passed by a line that never ends and a
    /// client that speaks another protocol does not wait for the deadline.
    fn unfinished(&self, line: &[u8], received: usize, rules: &HeadRules) -> Result<(), Refusal> {
        if self.request.is_some() {
            return if line.is_empty() || line == b"\r" {
                Ok(())
            } else {
                limits(line, received, &self.fields, rules)
            };
        }
        if line == b"\r" && !self.skipped {
            return Ok(());
        }
        request_begins(line, rules)
    }
}

/// Whether a byte of a request stands in a buffer; the CRLF before it does not count.
pub(super) fn begun(buffer: &[u8]) -> bool {
    !matches!(buffer, b"" | b"\r" | b"\r\n")
}

/// Whether a request line may begin so: the method, as far as the limit allows a look at it, and the limit. Behind
/// the limit nothing counts, or the answer would depend on how much of the line arrived at once.
#[inline]
fn request_begins(line: &[u8], rules: &HeadRules) -> Result<(), Refusal> {
    target::method(&line[..line.len().min(rules.line)], rules.grammar)?;
    line_limit(line, rules)
}

/// The request line's limit. The CR, which may be the last byte here, does not count.
fn line_limit(line: &[u8], rules: &HeadRules) -> Result<(), Refusal> {
    if line.len().saturating_sub(1) > rules.line { Err(Refusal::line_too_long()) } else { Ok(()) }
}

/// The limits of one more field, which is not yet counted, and of the head so far. Its LF, which is not part
/// of `line`, counts; whether its CR is part of it does not matter before the limit is passed.
fn limits(line: &[u8], received: usize, fields: &Fields, rules: &HeadRules) -> Result<(), Refusal> {
    if fields.count >= rules.fields && !may_go_on(line, rules) {
        return Err(Refusal::fields_too_large("there are more headers than --limit-request-fields"));
    }
    if line.len() + 1 > rules.field_size {
        return Err(Refusal::fields_too_large("a header is larger than --limit-request-field_size"));
    }
    if received > rules.head {
        return Err(Refusal::fields_too_large("the headers are too large"));
    }
    Ok(())
}

/// Whether a line is no field of its own, but may be a part of the one before it.
#[cold]
fn may_go_on(line: &[u8], rules: &HeadRules) -> bool {
    rules.grammar.permit_obsolete_folding && matches!(line, [b' ' | b'\t', ..])
}

fn without_cr(line: &[u8]) -> Result<&[u8], Refusal> {
    match line {
        [line @ .., b'\r'] => Ok(line),
        _ => Err(Refusal::bad("a line ends in LF without CR")),
    }
}

fn whole(
    start: usize,
    request: &RequestLine,
    fields: &Fields,
    length: usize,
    rules: &HeadRules,
) -> Result<Head, Refusal> {
    if !fields.host && rules.grammar.require_host && request.version >= (1, 1) {
        return Err(Refusal::bad("the Host header is missing"));
    }
    Ok(Head {
        length,
        framing: fields.framing()?,
        underscores: fields.underscores,
        last: fields.last || request.connect,
        // An Upgrade in a request of HTTP/1.0 does not count (RFC 9110 section 7.8).
        websocket: fields.websocket && rules.websockets && request.version >= (1, 1),
        target: start + request.target.start..start + request.target.end,
        keep_target: request.form != Form::Same,
        version: request.version,
        rewrite: request.form == Form::Encoded || request.odd,
    })
}
