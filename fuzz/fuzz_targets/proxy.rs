//! The PROXY protocol, both versions, and the requests behind it.
//!
//! - What the first bytes mean is settled once and for all by some beginning of them.
//! - A second reading of the specification agrees.
//! - However the bytes are cut, the same header is read and the same requests pass behind it.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ferricorn_config::ProxyProtocol::{self, Auto, V1, V2};
use ferricorn_fuzz::pieces::{Dice, cut};
use ferricorn_fuzz::socket::{Bell, Socket};
use ferricorn_worker_async::gate_fuzz::{End, First, Guarded, Rules, Told, pass, preface};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};

fuzz_target!(|bytes: &[u8]| {
    let mut dice = Dice::of(bytes);
    for mode in [V1, V2, Auto] {
        let settled = settles(bytes, mode);
        assert_eq!(told(settled), read(bytes, mode), "a second reading");
        let forbidden = preface(bytes, mode, false);
        let expected = match settled {
            First::Header(..) | First::Refused(_) => First::Refused(403),
            other => other,
        };
        assert!(forbidden == expected || settled == First::Incomplete, "who may not speak it is refused");
        for most in [1, 30, bytes.len().max(1)] {
            let pieces = cut(bytes, most, &mut dice);
            behind_it(bytes, settled, &pieces, mode, dice.roll(2) == 0);
        }
    }
});

/// What the bytes mean. Once a beginning of them means something, more of them mean the same.
fn settles(bytes: &[u8], mode: ProxyProtocol) -> First {
    let mut settled = First::Incomplete;
    for length in 0..=bytes.len() {
        let first = preface(&bytes[..length], mode, true);
        assert!(settled == First::Incomplete || first == settled, "{settled:?}, then {first:?}");
        settled = first;
    }
    settled
}

/// A header's length and the client's address; an error if it is wrong; `None` if it is not there or not whole.
type Reading = Option<Result<(usize, Option<SocketAddr>), ()>>;

fn told(first: First) -> Reading {
    match first {
        First::Incomplete | First::Absent => None,
        First::Header(length, source, _) => Some(Ok((length, source))),
        First::Refused(_) => Some(Err(())),
    }
}

/// The second reading.
fn read(bytes: &[u8], mode: ProxyProtocol) -> Reading {
    if bytes.starts_with(b"PROXY ") && mode != V2 {
        let end = bytes.windows(2).position(|two| two == b"\r\n").map(|at| at + 2);
        let bare = bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        return match end.or(bare) {
            None if bytes.len() < 107 => None,
            Some(length) if length <= 107 && bare == end => {
                Some(line(&bytes[..length - 2]).map(|source| (length, source)).ok_or(()))
            }
            _ => Some(Err(())),
        };
    }
    if bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n") && mode != V1 {
        return binary(bytes);
    }
    None
}

fn line(line: &[u8]) -> Option<Option<SocketAddr>> {
    let words: Vec<&str> = std::str::from_utf8(line).ok()?.split(' ').collect();
    let port = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    match words[1..] {
        ["UNKNOWN", ..] => Some(None),
        ["TCP4", source, to, from_port, to_port] => {
            to.parse::<Ipv4Addr>().ok()?;
            port(to_port)?;
            Some(Some((source.parse::<Ipv4Addr>().ok()?, port(from_port)?).into()))
        }
        ["TCP6", source, to, from_port, to_port] => {
            to.parse::<Ipv6Addr>().ok()?;
            port(to_port)?;
            Some(Some((source.parse::<Ipv6Addr>().ok()?, port(from_port)?).into()))
        }
        _ => None,
    }
}

fn binary(bytes: &[u8]) -> Reading {
    let two = |at: usize| Some(u16::from(*bytes.get(at)?) << 8 | u16::from(*bytes.get(at + 1)?));
    let whole = two(14)?;
    let (version, command) = (bytes[12] >> 4, bytes[12] & 15);
    if version != 2 || command > 1 {
        return Some(Err(()));
    }
    let length = 16 + usize::from(whole);
    if bytes.len() < length {
        return None;
    }
    let size = match (command, bytes[13]) {
        (0, _) | (1, 0x00 | 0x01) => return Some(Ok((length, None))),
        (1, 0x11) => 4,
        (1, 0x21) => 16,
        _ => return Some(Err(())),
    };
    if length < 16 + 2 * size + 4 {
        return Some(Err(()));
    }
    let address = &bytes[16..16 + size];
    let address: IpAddr = match <[u8; 4]>::try_from(address) {
        Ok(four) => four.into(),
        Err(_) => <[u8; 16]>::try_from(address).expect("sixteen").into(),
    };
    two(16 + 2 * size).map(|port| Ok((length, Some((address, port).into()))))
}

/// Reads the header, and what follows it, as hyper would, and compares with what the parts say of it.
fn behind_it(bytes: &[u8], settled: First, pieces: &[&[u8]], mode: ProxyProtocol, pauses: bool) {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let (mut guarded, side) = Guarded::new(Socket::new(pieces, pauses), Rules::default());
    let header = loop {
        match guarded.poll_preface(&mut cx, mode, true) {
            Poll::Ready(header) => break header,
            Poll::Pending => assert!(bell.rang(), "nobody would wake the connection"),
        }
    };
    let (mut passed, mut told) = (Vec::new(), Vec::<Told>::new());
    let broken = loop {
        let mut room = [0; 50];
        let mut buffer = ReadBuf::new(&mut room);
        let read = Pin::new(&mut guarded).poll_read(&mut cx, &mut buffer);
        passed.extend_from_slice(buffer.filled());
        let heads = side.answer_all();
        let progress = !heads.is_empty();
        told.extend(heads);
        match read {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => break false,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => break true,
            Poll::Pending => assert!(bell.rang() || progress, "nobody would wake the connection"),
        }
    };
    let (_, refused) = guarded.into_parts();
    let rest = match settled {
        First::Header(length, source, proxied) => {
            assert_eq!(header, Some((source, proxied)));
            &bytes[length..]
        }
        First::Absent => {
            assert_eq!(header, None);
            bytes
        }
        First::Incomplete | First::Refused(_) => {
            assert_eq!((header, passed.len()), (None, 0));
            let status = if settled == First::Incomplete { None } else { Some(400) };
            assert_eq!(refused, status);
            return;
        }
    };
    let passage = pass(std::iter::once(rest), Rules::default());
    assert_eq!(passed, passage.bytes, "the requests behind the header");
    assert_eq!(told, passage.told);
    match passage.end {
        End::Refused(status) => assert_eq!(refused, Some(status)),
        End::Broken => assert!(broken),
        End::Surplus | End::Unfinished => assert_eq!(refused, None),
    }
}
