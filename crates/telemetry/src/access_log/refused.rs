//! What an access line takes from the first line of a request that was refused before anybody parsed it.

use std::net::IpAddr;

use ferricorn_protocol::split_target;

use super::grammar::{RequestAtom, Shape};
use super::request::{push_address, push_path};

/// Appends the value of one atom, or `-` if the line does not tell it.
pub(super) fn push(
    out: &mut Vec<u8>,
    atom: &RequestAtom,
    shape: &Shape,
    peer: Option<IpAddr>,
    line: &[u8],
    prefix: &str,
) {
    let known = Known::of(line);
    let text = match (atom, known) {
        (RequestAtom::RemoteAddress, _) => return push_address(out, shape, peer),
        (RequestAtom::RequestLine, _) if !line.is_empty() => line,
        (RequestAtom::Method, Some(known)) => known.method,
        (RequestAtom::Path, Some(known)) => {
            return push_path(out, shape, split_target(known.target).0, prefix.as_bytes());
        }
        (RequestAtom::Headers, _) => return out.extend_from_slice(b"[]"),
        (RequestAtom::Target, Some(known)) => known.target,
        (RequestAtom::Query, Some(known)) => split_target(known.target).1,
        (RequestAtom::Protocol, Some(known)) => known.protocol,
        _ => return shape.push_absent(out),
    };
    shape.push_text(out, text);
}

/// The parts of a line that has the form of a request line; nothing else is said of it.
#[derive(Clone, Copy)]
struct Known<'a> {
    method: &'a [u8],
    target: &'a [u8],
    protocol: &'a [u8],
}

impl<'a> Known<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (method, target, protocol) = (parts.next()?, parts.next()?, parts.next()?);
        let full = !method.is_empty() && !target.is_empty() && protocol.starts_with(b"HTTP/");
        (full && parts.next().is_none()).then_some(Self { method, target, protocol })
    }
}
