//! The PROXY protocol (versions 1 and 2): what a load balancer says of its client before the first request.
//!
//! <https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>. As in gunicorn a connection may also begin
//! without it, and only TCP is understood. Beyond gunicorn, `UNKNOWN` and families without addresses are taken
//! for what the specification says: the socket's own address counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

use bytes::Buf;
use ferricorn_config::ProxyProtocol;
use ferricorn_protocol::Proxied;
use http::StatusCode;
use memchr::memchr;
use tokio::io::{AsyncRead, ReadBuf};

use super::track::Rest;
use super::{End, Gate, Refusal};

/// How version 1 begins.
const TEXT: &[u8] = b"PROXY ";
/// The longest line of version 1, its CRLF included.
const MAX_TEXT: usize = 107;
/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, and the length of what follows.
const FIXED: usize = 16;
/// How much is read at once; what a load balancer sends first fits.
const READ: usize = 1024;

const WRONG: Refusal = Refusal::bad("the PROXY protocol header is not valid");
const FORBIDDEN: Refusal = Refusal {
    status: StatusCode::FORBIDDEN,
    why: "this peer may not speak the PROXY protocol (--proxy-allow-from)",
};

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preface {
    /// Not yet clear.
    Incomplete,
    /// A request; the PROXY protocol is not spoken.
    Absent,
    /// A whole header.
    Whole(Header),
    /// A header that is wrong, or that this peer may not send.
    Refused(Refusal),
}

/// A header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its bytes.
    pub(super) length: usize,
    /// The client's address; `None` if the socket's counts.
    pub(super) source: Option<SocketAddr>,
    pub(super) proxied: Proxied,
}

impl Header {
    fn without_addresses(length: usize, protocol: &'static str) -> Self {
        Self { length, source: None, proxied: Proxied { protocol, destination: None } }
    }

    fn new(length: usize, source: SocketAddr, destination: SocketAddr) -> Self {
        let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let proxied = Proxied { protocol, destination: Some(destination) };
        Self { length, source: Some(source), proxied }
    }
}

/// Looks at all bytes received so far. `allowed` says whether this peer may speak the protocol.
pub(super) fn parse(bytes: &[u8], mode: ProxyProtocol, allowed: bool) -> Preface {
    use ProxyProtocol::{Auto, V1, V2};
    let text = matches!(mode, V1 | Auto) && agree(bytes, TEXT);
    let binary = matches!(mode, V2 | Auto) && agree(bytes, SIGNATURE);
    let whole = if text && bytes.len() >= TEXT.len() {
        version_1
    } else if binary && bytes.len() >= SIGNATURE.len() {
        version_2
    } else if text || binary {
        return Preface::Incomplete;
    } else {
        return Preface::Absent;
    };
    if !allowed {
        return Preface::Refused(FORBIDDEN);
    }
    match whole(bytes) {
        Some(Ok(header)) => Preface::Whole(header),
        Some(Err(refusal)) => Preface::Refused(refusal),
        None => Preface::Incomplete,
    }
}

/// Whether the bytes begin with this, as far as they have arrived.
fn agree(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(byte, wanted)| byte == wanted)
}

/// `PROXY TCP4 192.0.2.1 198.51.100.2 56324 443`, or `PROXY UNKNOWN` and anything, and CRLF.
fn version_1(bytes: &[u8]) -> Option<Result<Header, Refusal>> {
    let longest = &bytes[..bytes.len().min(MAX_TEXT)];
    let Some(end) = memchr(b'\n', longest) else {
        return (bytes.len() >= MAX_TEXT).then_some(Err(WRONG));
    };
    let line = longest[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
    Some(line.and_then(|line| text_header(line, end + 1)).ok_or(WRONG))
}

fn text_header(line: &str, length: usize) -> Option<Header> {
    let mut words = line.split(' ').skip(1);
    let protocol = words.next()?;
    if protocol == "UNKNOWN" {
        return Some(Header::without_addresses(length, "UNKNOWN"));
    }
    let mut next = || words.next();
    let (source, destination) = match protocol {
        "TCP4" => (address::<Ipv4Addr>(next()?)?, address::<Ipv4Addr>(next()?)?),
        "TCP6" => (address::<Ipv6Addr>(next()?)?, address::<Ipv6Addr>(next()?)?),
        _ => return None,
    };
    let (source, destination) = ((source, port(next()?)?).into(), (destination, port(next()?)?).into());
    next().is_none().then(|| Header::new(length, source, destination))
}

fn address<T: FromStr + Into<IpAddr>>(text: &str) -> Option<IpAddr> {
    text.parse::<T>().ok().map(Into::into)
}

/// Digits alone; Rust would take a sign too.
fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The binary header. What follows its addresses (TLVs) is skipped; 16 bits bound its length.
fn version_2(bytes: &[u8]) -> Option<Result<Header, Refusal>> {
    let &[command, kind, high, low] = bytes.get(SIGNATURE.len()..FIXED)? else { return None };
    if !matches!(command, 0x20 | 0x21) {
        return Some(Err(WRONG));
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    let addresses = bytes.get(FIXED..length)?;
    let header = match (command, kind) {
        (0x20, _) => Some(Header::without_addresses(length, "LOCAL")),
        (_, 0x00 | 0x01) => Some(Header::without_addresses(length, "UNSPEC")),
        (_, 0x11) => binary::<4>(addresses, length),
        (_, 0x21) => binary::<16>(addresses, length),
        _ => None,
    };
    Some(header.ok_or(WRONG))
}

/// Two addresses of `N` bytes and two ports.
fn binary<const N: usize>(mut addresses: &[u8], length: usize) -> Option<Header>
where
    IpAddr: From<[u8; N]>,
{
    let mut take = || {
        let (address, rest) = addresses.split_first_chunk::<N>()?;
        addresses = rest;
        Some(IpAddr::from(*address))
    };
    let (source, destination) = (take()?, take()?);
    let &[a, b, c, d] = addresses.first_chunk()?;
    let source = (source, u16::from_be_bytes([a, b])).into();
    Some(Header::new(length, source, (destination, u16::from_be_bytes([c, d])).into()))
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Reads the header of the PROXY protocol, if there is one. To be called once, before hyper gets the gate.
    /// Its time is that of the first head: the clock runs on.
    pub(crate) fn poll_preface(
        &mut self,
        cx: &mut Context<'_>,
        mode: ProxyProtocol,
        allowed: bool,
    ) -> Poll<Option<(Option<SocketAddr>, Proxied)>> {
        self.keep_waker(cx);
        while self.end.is_none() {
            match parse(&self.inbox, mode, allowed) {
                Preface::Incomplete => {}
                Preface::Absent => {
                    self.admit_inbox();
                    break;
                }
                Preface::Refused(refusal) => {
                    let unread = self.inbox.split();
                    self.stop(Rest::Refused(refusal), &unread);
                    break;
                }
                Preface::Whole(header) => {
                    self.inbox.advance(header.length);
                    self.admit_inbox();
                    return Poll::Ready(Some((header.source, header.proxied)));
                }
            }
            let mut bytes = [0; READ];
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    if self.shared.granted().is_none() {
                        return Poll::Pending;
                    }
                    self.end = Some(End::Over(Box::default()));
                }
                Poll::Ready(Err(_)) => self.end = Some(End::Closed),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => self.end = Some(End::Closed),
                Poll::Ready(Ok(())) => self.inbox.extend_from_slice(buf.filled()),
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProxyProtocol::{Auto, V1, V2};

    fn whole(bytes: &[u8]) -> Header {
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut], Auto, true), Preface::Incomplete, "{cut}");
        }
        let more = [bytes, b"GET / HTTP/1.1\r\n\r\n"].concat();
        match parse(&more, Auto, true) {
            Preface::Whole(header) if header.length == bytes.len() => header,
            other => panic!("{other:?}: {bytes:?}"),
        }
    }

    fn v2(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, kind], &length, rest].concat()
    }

    #[test]
    fn lines_of_version_1() {
        let header = whole(b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
        assert_eq!(header.source, Some("192.0.2.1:56324".parse().unwrap()));
        let destination = Some("198.51.100.2:443".parse().unwrap());
        assert_eq!(header.proxied, Proxied { protocol: "TCP4", destination });
        let header = whole(b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n");
        assert_eq!(header.source, Some("[2001:db8::1]:0".parse().unwrap()));
        assert_eq!(header.proxied.protocol, "TCP6");
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "PROXY UNKNOWN ?\r\n"] {
            let header = whole(line.as_bytes());
            assert_eq!(header.source, None);
            assert_eq!(header.proxied, Proxied { protocol: "UNKNOWN", destination: None });
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert_eq!((longest.len(), whole(longest.as_bytes()).length), (107, 107));
    }

    #[test]
    fn wrong_lines_of_version_1() {
        let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        for line in [
            too_long.as_str(),
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
            "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 \u{663}\r\n",
        ] {
            assert_eq!(parse(line.as_bytes(), Auto, true), Preface::Refused(WRONG), "{line:?}");
        }
        assert_eq!(
            parse(&[b"PROXY ".as_slice(), &[b'x'; 101]].concat(), Auto, true),
            Preface::Refused(WRONG)
        );
    }

    #[test]
    fn headers_of_version_2() {
        let header = whole(&v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 1, 0xbb]));
        assert_eq!(header.source, Some("192.0.2.1:12345".parse().unwrap()));
        assert_eq!(header.proxied.destination, Some("198.51.100.2:443".parse().unwrap()));
        let mut six = [0; 36 + 300];
        (six[15], six[31], six[33]) = (1, 2, 7);
        let header = whole(&v2(0x21, 0x21, &six));
        assert_eq!(header.source, Some("[::1]:7".parse().unwrap()));
        assert_eq!(header.proxied.protocol, "TCP6");
        for (command, kind, protocol) in
            [(0x20, 0x00, "LOCAL"), (0x20, 0x11, "LOCAL"), (0x21, 0x00, "UNSPEC"), (0x21, 0x01, "UNSPEC")]
        {
            for rest in [&[][..], &[1, 2, 3], &[0xff; 12]] {
                let header = whole(&v2(command, kind, rest));
                assert_eq!((header.source, header.proxied.protocol), (None, protocol));
            }
        }
        assert_eq!(whole(&v2(0x20, 0, &[7; 65535])).length, 65551);
    }

    #[test]
    fn wrong_headers_of_version_2() {
        for (command, kind, rest) in [
            (0x11, 0x11, &[0; 12][..]),
            (0x22, 0x11, &[0; 12]),
            (0x21, 0x11, &[0; 11]),
            (0x21, 0x21, &[0; 35]),
            (0x21, 0x12, &[0; 12]),
            (0x21, 0x31, &[0; 216]),
            (0x21, 0x41, &[0; 12]),
            (0x21, 0x13, &[0; 12]),
        ] {
            let header = v2(command, kind, rest);
            assert_eq!(parse(&header, Auto, true), Preface::Refused(WRONG), "{command:#x} {kind:#x}");
        }
    }

    #[test]
    fn only_what_is_expected_is_understood() {
        let line = b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n";
        let local = v2(0x20, 0, &[]);
        assert_eq!(parse(line, V2, true), Preface::Absent);
        assert_eq!(parse(&local, V1, true), Preface::Absent);
        assert!(matches!(parse(line, V1, true), Preface::Whole(_)));
        assert!(matches!(parse(&local, V2, true), Preface::Whole(_)));
        for request in ["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "PROXYX / HTTP/1.1\r\n", "\r\nGET /"] {
            assert_eq!(parse(request.as_bytes(), Auto, true), Preface::Absent, "{request}");
        }
    }

    #[test]
    fn who_may_not_speak_it_is_told_as_soon_as_it_is_clear() {
        assert_eq!(parse(b"PROXY", Auto, false), Preface::Incomplete);
        assert_eq!(parse(b"PROXY ", Auto, false), Preface::Refused(FORBIDDEN));
        assert_eq!(parse(SIGNATURE, Auto, false), Preface::Refused(FORBIDDEN));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n\r\n", Auto, false), Preface::Absent);
    }
}
