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
    let mut at = 0;
    // Four at a time as long as they are ordinary; no head is parsed without this loop.
    while let Some(&[a, b, c, d]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let all = NAME[a as usize] & NAME[b as usize] & NAME[c as usize] & NAME[d as usize];
        if all != TOKEN {
            break;
        }
        at += 4;
    }
    let mut underscores = false;
    while let Some(&byte) = bytes.get(at) {
        match NAME[byte as usize] {
            NONE => break,
            class => underscores |= class == UNDERSCORE,
        }
        at += 1;
    }
    (at, underscores)
}

/// How many bytes [`is_field_value`] looks at in one step.
const STEP: usize = 16;

/// Whether a field value holds only what RFC 9110 section 5.5 allows: HTAB, SP, visible and `obs-text` bytes.
#[inline]
pub(super) fn is_field_value(value: &[u8]) -> bool {
    // Steps without a branch in them become vector instructions; the last overlaps the one before.
    let Some(end) = value.last_chunk::<STEP>() else {
        return controls(value) == 0;
    };
    let (steps, _) = value.as_chunks::<STEP>();
    let mut found = controls(end);
    for step in steps {
        found |= controls(step);
    }
    found == 0
}

/// Not zero if a control other than HTAB is there.
#[inline]
fn controls(bytes: &[u8]) -> u8 {
    let mut found = 0;
    for &byte in bytes {
        found |= u8::from(((byte < b' ') & (byte != b'\t')) | (byte == 0x7f));
    }
    found
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
            for at in 0..40 {
                let mut value = [b'v'; 40];
                value[at] = byte;
                assert_eq!(is_field_value(&value), good, "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\x0ba\xa0"), b"\x0ba\xa0");
    }
}
