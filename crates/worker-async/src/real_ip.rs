//! The client's address as a trusted proxy's header tells it (`real_ip_header`).
//!
//! Each proxy adds the address of who asked it at the right end, so the address that counts stands as many
//! places from the right as there are proxies; what stands left of it was sent by the client and proves
//! nothing. What cannot be read gives no address: the peer's counts then, which nobody can forge.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ferricorn_config::RealIp;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The address in the header's fields, if there is one.
pub(crate) fn client(headers: &HeaderMap, real_ip: &RealIp) -> Option<IpAddr> {
    let fields = headers.get_all(&real_ip.header).iter().map(HeaderValue::as_bytes);
    from_fields(&real_ip.header, fields, real_ip.hops)
}

/// The address `hops` places from the right, in fields that are given in the order in which they came.
///
/// Proxies often append to the client's own field, so nothing left of the element that counts is looked at: if
/// it could make the field unreadable, a client could choose to appear under the proxy's address.
pub(crate) fn from_fields<'a>(
    header: &HeaderName,
    fields: impl DoubleEndedIterator<Item = &'a [u8]>,
    hops: usize,
) -> Option<IpAddr> {
    let quotes = *header == FORWARDED;
    let mut elements = fields.rev().flat_map(|field| from_the_right(field, quotes));
    let element = std::str::from_utf8(elements.nth(hops.checked_sub(1)?)?).ok()?;
    if quotes { address(&forwarded(element)?) } else { address(trim(element)) }
}

/// The elements of a list, last one first. A comma between `quotes` separates nothing.
fn from_the_right(field: &[u8], quotes: bool) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    std::iter::from_fn(move || {
        let field = rest.take()?;
        let mut inside = false;
        for (at, &byte) in field.iter().enumerate().rev() {
            match byte {
                b'"' if quotes && !is_escaped(&field[..at]) => inside = !inside,
                b',' if !inside => {
                    rest = Some(&field[..at]);
                    return Some(&field[at + 1..]);
                }
                _ => {}
            }
        }
        Some(field)
    })
}

/// Whether a backslash that is not itself escaped ends these bytes.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(node: &str) -> Option<IpAddr> {
    let bracketed = || node.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let with_port = || match node.parse::<SocketAddr>().ok()? {
        // A zone belongs to the machine that knows it.
        SocketAddr::V6(address) if address.scope_id() != 0 => None,
        address => Some(address.ip()),
    };
    node.parse::<IpAddr>().ok().or_else(|| bracketed().map(IpAddr::V6)).or_else(with_port)
}

/// The `for` of one element of Forwarded (RFC 7239 section 4), unquoted. `None` if there is none, or two, or
/// the element does not have the form that it must have.
fn forwarded(element: &str) -> Option<String> {
    let mut node = None;
    let mut rest = element;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(';') {
            let (name, value, behind) = pair(rest)?;
            if name.eq_ignore_ascii_case("for") && node.replace(value).is_some() {
                return None;
            }
            rest = behind.trim_start_matches([' ', '\t']);
        }
        match rest.strip_prefix(';') {
            Some(behind) => rest = behind,
            None if rest.is_empty() => return node,
            None => return None,
        }
    }
}

/// `name=value`, and what stands behind it.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_at(token_length(text));
    let rest = rest.strip_prefix('=').filter(|_| !name.is_empty())?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, behind) = unquote(quoted)?;
        return Some((name, value, behind));
    }
    // Brackets and colons should be quoted, but not everybody does.
    let end = rest.find([';', ',', ' ', '\t', '"']).unwrap_or(rest.len());
    let (value, behind) = rest.split_at(end);
    (!value.is_empty()).then(|| (name, value.to_owned(), behind))
}

fn token_length(text: &str) -> usize {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    text.bytes().position(|byte| !token(byte)).unwrap_or(text.len())
}

/// The content of a quoted string whose opening quote is gone, and what stands behind its closing one.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &'static str, fields: &[&str], hops: usize) -> Option<String> {
        let header = HeaderName::from_static(header);
        from_fields(&header, fields.iter().map(|field| field.as_bytes()), hops).map(|ip| ip.to_string())
    }

    fn list(fields: &[&str], hops: usize) -> Option<String> {
        of("x-forwarded-for", fields, hops)
    }

    fn rfc7239(fields: &[&str], hops: usize) -> Option<String> {
        of("forwarded", fields, hops)
    }

    #[test]
    fn the_address_is_counted_from_the_right() {
        let fields = ["1.1.1.1, 2.2.2.2", "3.3.3.3"];
        for (hops, wanted) in [(1, "3.3.3.3"), (2, "2.2.2.2"), (3, "1.1.1.1")] {
            assert_eq!(list(&fields, hops).as_deref(), Some(wanted));
        }
        assert_eq!(list(&fields, 4), None);
        assert_eq!(list(&[], 1), None);
    }

    #[test]
    fn addresses_have_these_forms() {
        for (node, wanted) in [
            ("192.0.2.1", "192.0.2.1"),
            (" \t192.0.2.1 ", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ] {
            assert_eq!(list(&[node], 1).as_deref(), Some(wanted), "{node}");
        }
        for node in [
            "",
            ",",
            "unknown",
            "_hidden",
            "localhost",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:65536",
            "192.0.2.256",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "fe80::1%eth0",
            "[fe80::1%3]:80",
            "\"192.0.2.1\"",
            "1.1.1.1 2.2.2.2",
            "\u{661}.1.1.1",
        ] {
            assert_eq!(list(&[node], 1), None, "{node}");
        }
    }

    #[test]
    fn what_a_client_sends_left_of_it_does_not_matter() {
        assert_eq!(list(&["garbage \"\u{e9}, unknown, 9.9.9.9"], 1).as_deref(), Some("9.9.9.9"));
        assert_eq!(rfc7239(&["for=\"never closed", "for=9.9.9.9"], 1).as_deref(), Some("9.9.9.9"));
        let bytes = [b"\xff".as_slice(), b"9.9.9.9"];
        let header = HeaderName::from_static("x-real-ip");
        assert!(from_fields(&header, bytes.into_iter(), 1).is_some());
        assert!(from_fields(&header, bytes.into_iter(), 2).is_none());
    }

    #[test]
    fn a_client_cannot_make_the_field_unreadable_to_which_a_proxy_appends() {
        let header = HeaderName::from_static("x-forwarded-for");
        for sent in [b"\xff".as_slice(), b"\xe9, 127.0.0.1", b"\"", b",,"] {
            let field = [sent, b", 9.9.9.9"].concat();
            let found = from_fields(&header, [field.as_slice()].into_iter(), 1);
            assert_eq!(found, Some([9, 9, 9, 9].into()), "{sent:?}");
        }
        for sent in ["for=\"never closed", "x=\"", "for=\"\\", "for=1.1.1.1\"x", "=", ";;\"\\\"", "\u{e9}"] {
            for element in ["for=9.9.9.9", "host=\"a,\\\",b\\\\\";for=\"9.9.9.9:80\""] {
                let field = format!("{sent},{element}");
                assert_eq!(rfc7239(&[&field], 1).as_deref(), Some("9.9.9.9"), "{field}");
                let field = format!("{field}, for=8.8.8.8");
                assert_eq!(rfc7239(&[&field], 2).as_deref(), Some("9.9.9.9"), "{field}");
            }
        }
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        for (field, wanted) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("proto=http ; host=\"a,b;c\\\"d\" ; for=\"192.0.2.1:80\"", "192.0.2.1"),
            ("for=1.1.1.1, for=\"192.0.2.1\"", "192.0.2.1"),
            ("for=[2001:db8::1]", "2001:db8::1"),
            ("for=\"192.0.\\2.1\"", "192.0.2.1"),
        ] {
            assert_eq!(rfc7239(&[field], 1).as_deref(), Some(wanted), "{field}");
        }
        assert_eq!(rfc7239(&["for=1.1.1.1, for=2.2.2.2"], 2).as_deref(), Some("1.1.1.1"));
        for field in [
            "192.0.2.1",
            "for=unknown",
            "for=_hidden",
            "for=",
            "for",
            "=192.0.2.1",
            "proto=https",
            "for=192.0.2.1, proto=https",
            "for=192.0.2.1,",
            "for=192.0.2.1;for=192.0.2.2",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1\\",
            "for=\"192.0.2.1\"x",
            "for = 192.0.2.1",
        ] {
            assert_eq!(rfc7239(&[field], 1), None, "{field}");
        }
    }
}
