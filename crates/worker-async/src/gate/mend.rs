//! Repairs what only a compatibility switch permits: folded header lines and white space before a colon.
//!
//! The strict [`HeadScanner`](super::head::HeadScanner) stays the only judge: it reads the repaired head again.

use memchr::memchr;

use super::fields::{FOLDED, WRONG_NAME};
use super::lexis::trim;
use super::refusal::Refusal;
use super::rules::HeadRules;

/// Whether a head that was refused for this reason may be good once it is repaired.
pub(super) fn may_help(refusal: Refusal, rules: &HeadRules) -> bool {
    (refusal == FOLDED && rules.grammar.permit_obsolete_folding)
        || (refusal == WRONG_NAME && rules.grammar.strip_header_spaces)
}

/// Repairs one head, line by line as it arrives.
#[derive(Debug, Default)]
pub(super) struct Mender {
    /// What is repaired so far.
    head: Vec<u8>,
    /// Where in what was received the line begins that is being read.
    line: usize,
    /// Up to where there is no LF.
    searched: usize,
    /// Bytes of the field that is being read, in all its lines.
    field: usize,
    /// Whether the request line has been there.
    request: bool,
}

impl Mender {
    /// Looks at the bytes received so far, which must begin with those of the calls before. Gives the number
    /// of bytes that the head had, and the repaired one, once its end is there.
    ///
    /// # Errors
    /// A limit is passed, or a line ends in LF alone.
    pub(super) fn mend(
        &mut self,
        bytes: &[u8],
        rules: &HeadRules,
    ) -> Result<Option<(usize, Vec<u8>)>, Refusal> {
        while let Some(distance) = memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + distance + 1;
            let line = &bytes[self.line..end];
            (self.line, self.searched) = (end, end);
            if line == b"\r\n" && self.request {
                self.head.extend_from_slice(line);
                return Ok(Some((end, std::mem::take(&mut self.head))));
            }
            // The limits first, as for a line that is not whole: the answer may not depend on how it arrived.
            let length = if self.request { self.length_with(line, rules) } else { 0 };
            limits(length, end, rules)?;
            let Some(text) = line.strip_suffix(b"\r\n") else {
                return Err(Refusal::bad("a line ends in LF without CR"));
            };
            self.add(text, rules);
        }
        self.searched = bytes.len();
        let line = &bytes[self.line..];
        // It may be the blank line, which has no limit.
        if !matches!(line, b"" | b"\r") {
            limits(self.length_with(line, rules), bytes.len(), rules)?;
        }
        Ok(None)
    }

    /// Bytes of the field that a line belongs to, so far.
    fn length_with(&self, line: &[u8], rules: &HeadRules) -> usize {
        line.len() + if self.goes_on(line, rules) { self.field } else { 0 }
    }

    /// Adds a line, which is given without its CRLF.
    fn add(&mut self, text: &[u8], rules: &HeadRules) {
        match text {
            // The request line, or the CRLF before it: the strict scanner has let them pass.
            _ if !self.request => {
                self.request = !text.is_empty();
                self.head.extend_from_slice(text);
            }
            _ if self.goes_on(text, rules) => {
                self.field += text.len() + 2;
                self.head.truncate(self.head.len() - 2);
                self.head.push(b' ');
                self.head.extend_from_slice(trim(text));
            }
            _ => {
                self.field = text.len() + 2;
                self.add_field(text, rules);
            }
        }
        self.head.extend_from_slice(b"\r\n");
    }

    /// Whether a line continues the field before it. Behind the request line there is no such field, and the
    /// strict scanner takes the line for what it is.
    fn goes_on(&self, line: &[u8], rules: &HeadRules) -> bool {
        rules.grammar.permit_obsolete_folding && self.field > 0 && matches!(line, [b' ' | b'\t', ..])
    }

    fn add_field(&mut self, text: &[u8], rules: &HeadRules) {
        // A line without a colon stays as it is, to be refused: made shorter it could become the blank line, and
        // what follows it another request.
        let (name, value) = text.split_at(memchr(b':', text).unwrap_or(0));
        let end = name.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
        let name = if rules.grammar.strip_header_spaces { &name[..end] } else { name };
        self.head.extend_from_slice(name);
        if name.is_empty() {
            return self.head.extend_from_slice(value);
        }
        // A line that goes on is joined with one space.
        let end = value.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
        self.head.extend_from_slice(&value[..end]);
    }
}

/// The limits of a field in all its lines, and of the head so far. The scanner counts the fields.
fn limits(field: usize, received: usize, rules: &HeadRules) -> Result<(), Refusal> {
    if field > rules.field_size {
        return Err(Refusal::fields_too_large("a header is larger than --limit-request-field_size"));
    }
    if received > rules.head {
        return Err(Refusal::fields_too_large("the headers are too large"));
    }
    Ok(())
}
