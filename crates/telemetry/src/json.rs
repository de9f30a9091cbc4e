//! JSON strings of bytes that anybody chose: always ASCII, and always one that a parser takes (RFC 8259).

use crate::escape::all_plain;

/// Appends the bytes as a JSON string with its quotes. They are read as UTF-8, or as Latin-1 if they are not that,
/// as WSGI reads header fields. Whatever is not plain ASCII is escaped, so that no line ends, no terminal obeys, and
/// nothing is read from right to left.
pub(crate) fn push_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    if all_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.chars().for_each(|c| push_char(out, c)),
            Err(_) => bytes.iter().for_each(|&byte| push_char(out, char::from(byte))),
        }
    }
    out.push(b'"');
}

fn push_char(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        ' '..='~' => out.push(character as u8),
        _ => {
            // What lies beyond 16 bits is written as two halves (section 7).
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        push_string(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn everything_becomes_ascii_in_one_line() {
        assert_eq!(string(b"plain"), r#""plain""#);
        assert_eq!(string(b"a\"b\\c\n\x1b\x7f"), r#""a\"b\\c\n\u001b\u007f""#);
        assert_eq!(string("é\u{202E}\u{1F600}".as_bytes()), r#""\u00e9\u202e\ud83d\ude00""#);
        assert_eq!(string(b"\xe9\xff"), r#""\u00e9\u00ff""#);
    }

    #[test]
    fn a_parser_gives_every_character_back() {
        let every: String = ('\0'..='\u{2FFF}').chain('\u{1F000}'..='\u{1F0FF}').collect();
        let mut out = Vec::new();
        push_string(&mut out, every.as_bytes());
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), every);
    }
}
