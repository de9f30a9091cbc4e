//! Which extension is agreed to: permessage-deflate, out of what the client offers (RFC 7692 section 7.1).

use http::HeaderValue;

/// The terms of permessage-deflate. Neither side keeps its window from message to message, so that an open WebSocket
/// needs no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The base-2 logarithm of the window in which the server compresses, 9 to 15.
    pub(super) window_bits: u8,
    /// Whether the client named the window, and must hear of it.
    pub(super) named: bool,
}

/// The field does not have the form that it must have (RFC 6455 section 9.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Agreed {
    /// What the server answers. It may ask the client for messages that do not build on each other whether or not
    /// that was offered (RFC 7692 section 7.1.1.2).
    pub(super) fn answer(self) -> HeaderValue {
        const TERMS: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let bits = self.window_bits;
        let text =
            if self.named { format!("{TERMS}; server_max_window_bits={bits}") } else { TERMS.to_owned() };
        HeaderValue::try_from(text).expect("words and a number are a field value")
    }
}

/// Takes the first offer that can be met, from the lines of the field.
pub(super) fn agree<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Option<Agreed>, Malformed> {
    let mut agreed = None;
    for line in lines {
        let mut rest = line;
        loop {
            rest = rest.trim_ascii_start();
            if let [b',', behind @ ..] = rest {
                rest = behind;
                continue;
            }
            if rest.is_empty() {
                break;
            }
            let (offer, behind) = offer(rest)?;
            agreed = agreed.or(offer);
            rest = behind;
        }
    }
    Ok(agreed)
}

/// One offer, and what stands behind it; `None` if it is for something else, or cannot be met.
fn offer(bytes: &[u8]) -> Result<(Option<Agreed>, &[u8]), Malformed> {
    let (name, mut rest) = token(bytes)?;
    let mut terms = Terms::default();
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] | [b',', ..] => break,
            [b';', behind @ ..] => {
                let (parameter, behind) = token(behind.trim_ascii_start())?;
                let (value, behind) = value(behind)?;
                terms.add(parameter, value.as_deref());
                rest = behind;
            }
            _ => return Err(Malformed),
        }
    }
    let ours = name.eq_ignore_ascii_case(b"permessage-deflate") && !terms.refused;
    let agreed = Agreed { window_bits: terms.window_bits.unwrap_or(15), named: terms.window_bits.is_some() };
    Ok((ours.then_some(agreed), rest))
}

/// The parameters of one offer.
#[derive(Default)]
struct Terms {
    window_bits: Option<u8>,
    seen: [bool; 4],
    refused: bool,
}

impl Terms {
    /// A parameter that is unknown, there twice or has a wrong value makes the offer one to be declined (RFC 7692
    /// section 7.1). So does a window of 256 bytes, which zlib cannot keep to.
    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let bits = value.map(window_bits);
        let (place, good) = match name {
            b"server_no_context_takeover" => (0, value.is_none()),
            b"client_no_context_takeover" => (1, value.is_none()),
            b"client_max_window_bits" => (2, bits != Some(None)),
            b"server_max_window_bits" => {
                self.window_bits = bits.flatten();
                (3, self.window_bits.is_some_and(|bits| bits > 8))
            }
            _ => return self.refused = true,
        };
        self.refused |= !good || std::mem::replace(&mut self.seen[place], true);
    }
}

/// 8 to 15, without a leading zero.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// Whether the byte may stand in a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A token at the beginning, and what stands behind it.
fn token(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let length = bytes.iter().take_while(|&&byte| is_token(byte)).count();
    if length == 0 { Err(Malformed) } else { Ok(bytes.split_at(length)) }
}

/// The value of a parameter, if it has one: a token, or a quoted string whose content is one.
fn value(bytes: &[u8]) -> Result<(Option<Vec<u8>>, &[u8]), Malformed> {
    let [b'=', behind @ ..] = bytes.trim_ascii_start() else { return Ok((None, bytes)) };
    let behind = behind.trim_ascii_start();
    let [b'"', quoted @ ..] = behind else {
        let (value, behind) = token(behind)?;
        return Ok((Some(value.to_vec()), behind));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' if value.is_empty() => break,
            b'"' => return Ok((Some(value), &quoted[at + 1..])),
            b'\\' => value.push(*bytes.next().ok_or(Malformed)?.1),
            byte => value.push(byte),
        }
        if !value.last().is_some_and(|&byte| is_token(byte)) {
            break;
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[&str]) -> Result<Option<String>, Malformed> {
        let agreed = agree(lines.iter().map(|line| line.as_bytes()))?;
        Ok(agreed.map(|agreed| agreed.answer().to_str().unwrap().to_owned()))
    }

    const TERMS: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn the_first_offer_that_can_be_met_is_taken() {
        let bits = |bits: u8| Some(format!("{TERMS}; server_max_window_bits={bits}"));
        let plain = || Some(TERMS.to_owned());
        for (lines, wanted) in [
            (&["permessage-deflate"][..], plain()),
            (&["PerMessage-Deflate ; client_max_window_bits"], plain()),
            (&["permessage-deflate; client_max_window_bits=8"], plain()),
            (&["permessage-deflate; client_max_window_bits = \"1\\0\"; server_no_context_takeover"], plain()),
            (&["x-webkit-deflate-frame, , permessage-deflate"], plain()),
            (&["a;b=c;d=\"e\",permessage-deflate; server_max_window_bits=9"], bits(9)),
            (&["permessage-deflate; server_max_window_bits=15"], bits(15)),
            (&["permessage-deflate; server_max_window_bits=8, permessage-deflate"], plain()),
            (&["permessage-deflate; server_max_window_bits=8", "permessage-deflate"], plain()),
            (&["permessage-deflate; server_max_window_bits"], None),
            (&["permessage-deflate; server_max_window_bits=8"], None),
            (&["permessage-deflate; server_max_window_bits=16"], None),
            (&["permessage-deflate; server_max_window_bits=010"], None),
            (&["permessage-deflate; server_max_window_bits=10; server_max_window_bits=10"], None),
            (&["permessage-deflate; client_max_window_bits=7"], None),
            (&["permessage-deflate; server_no_context_takeover=1"], None),
            (&["permessage-deflate; client_no_context_takeover; client_no_context_takeover"], None),
            (&["permessage-deflate; unknown"], None),
            (&["permessage-bzip2"], None),
            (&["", ","], None),
            (&[], None),
        ] {
            assert_eq!(answer(lines), Ok(wanted), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_extensions_is_told_apart() {
        for line in [
            "permessage-deflate;",
            "permessage-deflate; =",
            "permessage-deflate; a=",
            "permessage-deflate; a=\"",
            "permessage-deflate; a=\"\"",
            "permessage-deflate; a=\"b",
            "permessage-deflate; a=\"b\\",
            "permessage-deflate; a=\"b c\"",
            "permessage-deflate b",
            ";",
            "\u{e9}",
        ] {
            assert_eq!(answer(&[line]), Err(Malformed), "{line}");
        }
    }
}
