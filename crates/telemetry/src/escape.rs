//! Makes bytes that a client chose safe to stand in a line of a log.

use std::fmt::{self, Write};

/// Shows bytes as printable ASCII: a quote as `\"`; a backslash, a control character and whatever is not ASCII
/// as `\xHH`. For everything in a log record that comes from a client.
///
/// ```
/// let path = b"/a\n[CRITICAL] \"forged\"";
/// assert_eq!(ferricorn_telemetry::escape(path).to_string(), r#"/a\x0A[CRITICAL] \"forged\""#);
/// ```
pub fn escape<T: AsRef<[u8]> + ?Sized>(value: &T) -> Escaped<'_> {
    Escaped(value.as_ref())
}

/// Bytes that are shown escaped; made by [`escape`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'"' => f.write_str("\\\"")?,
                byte if is_plain(byte) => f.write_char(char::from(byte))?,
                byte => write!(f, "\\x{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// Appends the bytes, escaped as [`escape`] does. The way of the access log, which is hot, and where nearly
/// every value is plain.
pub(crate) fn push_escaped(out: &mut Vec<u8>, value: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if all_plain(value) {
        out.extend_from_slice(value);
        return;
    }
    for &byte in value {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            byte if is_plain(byte) => out.push(byte),
            byte => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'x', HEX[high], HEX[low]]);
            }
        }
    }
}

/// Looks at sixteen bytes at a time without a branch, for the vector unit; the last sixteen may overlap.
pub(crate) fn all_plain(value: &[u8]) -> bool {
    const LANE: usize = 16;
    // A sum of bytes, not of truths: only that becomes vector code.
    let lane = |bytes: &[u8; LANE]| bytes.iter().fold(0, |odd, &byte| odd | u8::from(!is_plain(byte))) == 0;
    match value.last_chunk() {
        Some(last) => value.as_chunks().0.iter().chain([last]).all(lane),
        None => value.iter().all(|&byte| is_plain(byte)),
    }
}

/// Compared as a signed number, for which vector units have an instruction; what is not ASCII is negative.
#[inline]
fn is_plain(byte: u8) -> bool {
    (byte.cast_signed() >= 0x20) & (byte != 0x7f) & (byte != b'"') & (byte != b'\\')
}

/// Appends the text of a record of ours: lines and tabs stay, other characters that would move a cursor, start
/// an escape sequence or reorder what is read are shown as escapes. A line after the first that begins with `[`,
/// as the stamp of a record does, is moved to the right: what a client put into an exception is no record.
pub(crate) struct Sanitizer<'a>(pub(crate) &'a mut String);

impl Write for Sanitizer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '\n' | '\t' => self.0.push(character),
                '[' if self.0.ends_with('\n') => self.0.push_str("  ["),
                '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                    write!(self.0, "\\u{:04X}", u32::from(character))?;
                }
                _ if character.is_control() => write!(self.0, "\\x{:02X}", u32::from(character))?,
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_escape_agree_on_every_byte() {
        let every: Vec<u8> = (0..=255).collect();
        let mut pushed = Vec::new();
        push_escaped(&mut pushed, &every);
        let shown = escape(&every).to_string();
        assert_eq!(shown.as_bytes(), pushed);
        assert!(shown.bytes().all(|byte| (b' '..0x7f).contains(&byte)));
        assert!(shown.starts_with("\\x00\\x01"));
        assert!(shown.contains(r##"!\"#"##) && shown.contains(r"[\x5C]") && shown.ends_with(r"\xFF"));
    }

    #[test]
    fn a_record_keeps_its_lines_and_loses_its_escape_sequences() {
        let mut text = String::new();
        Sanitizer(&mut text).write_str("a\tb\n  c\r\u{1b}[31m\u{9b}\u{202E}é").unwrap();
        assert_eq!(text, "a\tb\n  c\\x0D\\x1B[31m\\x9B\\u202Eé");
    }

    #[test]
    fn no_line_after_the_first_looks_like_the_beginning_of_a_record() {
        let mut text = String::new();
        let mut record = Sanitizer(&mut text);
        // What is one line may come in several writes.
        for part in
            ["[1] a\n", "[2] b\n\n[3]\nTraceback:\n [4]\n\t[5]\nc [6]\r[7]\u{85}[8]\u{2028}[9]", "\n", "["]
        {
            record.write_str(part).unwrap();
        }
        assert_eq!(
            text,
            "[1] a\n  [2] b\n\n  [3]\nTraceback:\n [4]\n\t[5]\nc [6]\\x0D[7]\\x85[8]\\u2028[9]\n  ["
        );
    }
}
