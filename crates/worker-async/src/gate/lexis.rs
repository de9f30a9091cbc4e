//! Byte classes of HTTP's grammar (RFC 9110 section 5.6) and the few tests that several rules share.

/// Not part of a token.
const NONE: u8 = 0;
/// A token byte (`tchar`).
const TOKEN: u8 = 1;
/// The token byte `_`, which CGI cannot tell from `-`.
const UNDERSCORE: u8 = 2;

/// The class of each byte in a field name.
static NAME: [u8; 256] = name_classes();

const fn name_classes() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'_' => UNDERSCORE,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => TOKEN,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'`' | b'|'
            | b'~' => TOKEN,
            _ => NONE,
        };
        byte += 1;
    }
    table
}

/// Whether the byte may stand in a token.
#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    NAME[byte as usize] != NONE
}

/// How many bytes at the beginning are token bytes, and whether `_` is among them.
#[inline]
pub(super) fn token_prefix(bytes: &[u8]) -> (usize, bool) {
    let mut seen = NONE;
    for (at, &byte) in bytes.iter().enumerate() {
        let class = NAME[byte as usize];
        if class == NONE {
            return (at, seen & UNDERSCORE != 0);
        }
        seen |= class;
    }
    (bytes.len(), seen & UNDERSCORE != 0)
}

/// Whether a field value holds only what RFC 9110 section 5.5 allows: HTAB, SP, visible and `obs-text` bytes.
///
/// It looks at every byte without an early exit, so that the compiler can do many at once.
#[inline]
pub(super) fn is_field_value(value: &[u8]) -> bool {
    !value.iter().fold(false, |bad, &byte| bad | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f))
}

/// The value without the spaces and tabs around it. No other byte counts as white space.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_grammar() {
        let specials = b"!#$%&'*+-.^_`|~";
        for byte in 0..=255_u8 {
            assert_eq!(is_token(byte), byte.is_ascii_alphanumeric() || specials.contains(&byte), "{byte:#x}");
        }
        assert_eq!(token_prefix(b"X-A_b: c"), (5, true));
        assert_eq!(token_prefix(b"Host"), (4, false));
        assert_eq!(token_prefix(b" Host"), (0, false));
    }

    #[test]
    fn values_hold_no_controls_but_tabs() {
        for byte in 0..=255_u8 {
            let good = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            assert_eq!(is_field_value(&[b'a', byte, b'b']), good, "{byte:#x}");
        }
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\x0ba\xa0"), b"\x0ba\xa0");
    }
}
