//! What an access line takes from a request, copied before the application gets the request.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ferricorn_protocol::Request;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use percent_encoding::percent_decode;

use super::grammar::{RequestAtom, Shape};
use crate::json::push_string;

/// Clients that leave the padding away are understood too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Appends the value of one atom.
pub(super) fn push(out: &mut Vec<u8>, atom: &RequestAtom, shape: &Shape, request: &Request, prefix: &str) {
    let headers = &request.head.headers;
    match atom {
        RequestAtom::RemoteAddress => {
            push_address(out, shape, request.client_ip());
        }
        RequestAtom::User => {
            let user = headers.get(header::AUTHORIZATION).and_then(basic_user);
            push_optional(out, shape, user.as_deref());
        }
        RequestAtom::Headers => push_headers(out, headers),
        RequestAtom::Target => shape.push_text(out, request.target()),
        RequestAtom::RequestLine => push_request_line(out, shape, request),
        RequestAtom::Method => shape.push_text(out, request.head.method.as_str().as_bytes()),
        RequestAtom::Path => {
            // A proxy that may set the prefix with a header has been checked long before.
            let sent = headers.get("script_name").map(HeaderValue::as_bytes);
            push_path(out, shape, request.path(), sent.unwrap_or(prefix.as_bytes()));
        }
        RequestAtom::Query => shape.push_text(out, request.query()),
        RequestAtom::Protocol => shape.push_safe(out, &protocol(request)),
        RequestAtom::Referer => push_header(out, shape, headers, &header::REFERER),
        RequestAtom::UserAgent => push_header(out, shape, headers, &header::USER_AGENT),
        RequestAtom::Header(name) => push_header(out, shape, headers, name),
    }
}

/// Appends a header's value, the last one if it came several times, or `-`.
pub(super) fn push_header(out: &mut Vec<u8>, shape: &Shape, headers: &HeaderMap, name: &HeaderName) {
    let value = headers.get_all(name).iter().next_back();
    push_optional(out, shape, value.map(HeaderValue::as_bytes));
}

pub(super) fn push_optional(out: &mut Vec<u8>, shape: &Shape, value: Option<&[u8]>) {
    match value {
        Some(value) => shape.push_text(out, value),
        None => shape.push_absent(out),
    }
}

/// Appends all fields, as a JSON array of pairs.
pub(super) fn push_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    let mut before = b'[';
    for (name, value) in headers {
        out.extend_from_slice(&[before, b'[']);
        push_string(out, name.as_str().as_bytes());
        out.push(b',');
        push_string(out, value.as_bytes());
        out.push(b']');
        before = b',';
    }
    out.extend_from_slice(if headers.is_empty() { b"[]" } else { b"]" });
}

/// `REMOTE_ADDR`: empty on a Unix socket.
pub(super) fn push_address(out: &mut Vec<u8>, shape: &Shape, peer: Option<IpAddr>) {
    match peer {
        None if shape.json => shape.push_absent(out),
        None => shape.push_safe(out, b""),
        Some(IpAddr::V6(ip)) => shape.push_safe(out, ip.to_string().as_bytes()),
        Some(IpAddr::V4(ip)) => shape.push_with(out, |out| {
            let mut digits = itoa::Buffer::new();
            let [first, others @ ..] = ip.octets();
            out.extend_from_slice(digits.format(first).as_bytes());
            for octet in others {
                out.push(b'.');
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }),
    }
}

/// `GET /path?query HTTP/1.1`, the target as it was sent.
fn push_request_line(out: &mut Vec<u8>, shape: &Shape, request: &Request) {
    let (method, target) = (request.head.method.as_str().as_bytes(), request.target());
    let protocol = protocol(request);
    if *shape == Shape::default() {
        shape.push_text(out, method);
        out.push(b' ');
        shape.push_text(out, target);
        out.push(b' ');
        out.extend_from_slice(&protocol);
    } else {
        shape.push_text(out, &[method, target, &protocol].join(&b' '));
    }
}

/// `PATH_INFO`: decoded, and without the prefix that the application is mounted at.
pub(super) fn push_path(out: &mut Vec<u8>, shape: &Shape, path: &[u8], prefix: &[u8]) {
    let path = path.strip_prefix(prefix).unwrap_or(path);
    match Cow::from(percent_decode(path)) {
        Cow::Borrowed(path) => shape.push_text(out, path),
        Cow::Owned(path) => shape.push_text(out, &path),
    }
}

fn protocol(request: &Request) -> Cow<'static, [u8]> {
    Cow::Borrowed(match (request.sent_version, request.head.version) {
        (Some((major, minor)), _) => return Cow::Owned(format!("HTTP/{major}.{minor}").into_bytes()),
        (None, Version::HTTP_09) => b"HTTP/0.9",
        (None, Version::HTTP_10) => b"HTTP/1.0",
        (None, Version::HTTP_2) => b"HTTP/2.0",
        (None, Version::HTTP_3) => b"HTTP/3.0",
        (None, _) => b"HTTP/1.1",
    })
}

/// The user of Basic authentication (RFC 7617), unless it is empty or not UTF-8.
fn basic_user(authorization: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, credentials) = authorization.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut user = BASE64.decode(credentials.trim()).ok()?;
    user.truncate(user.iter().position(|&byte| byte == b':').unwrap_or(user.len()));
    (!user.is_empty() && std::str::from_utf8(&user).is_ok()).then_some(user)
}
