//! The access log: whatever the operator's format and the client's bytes are, a line stays one line.
//!
//! Beside the text of the format itself, a line holds printable ASCII only, and no quote that could end a
//! quoted value. That text is what is left when the same format prints harmless values.

#![no_main]

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use ferricorn_config::LogTarget;
use ferricorn_fuzz::pieces::Dice;
use ferricorn_protocol::{Connection, Local, Request, RequestBody};
use ferricorn_telemetry::AccessLog;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use libfuzzer_sys::fuzz_target;

/// Between the parts of an input: the format, then what a client and an application choose.
const SEPARATOR: u8 = 0x1e;

/// The log: a file without a name, so that nothing is left behind.
static FILE: LazyLock<File> = LazyLock::new(|| tempfile::tempfile().expect("a file for the log"));

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|&byte| byte == SEPARATOR);
    let format = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let hostile: Vec<&[u8]> = parts.collect();
    let mut dice = Dice::of(bytes);
    let Some(line) = line(&format, &hostile, &mut dice) else { return };
    let plain = self::line(&format, &[], &mut dice).expect("the format is good");

    let odd = |line: &[u8]| -> Vec<u8> {
        line.iter().copied().filter(|byte| !(b' '..=b'~').contains(byte)).collect()
    };
    assert_eq!(odd(&line), odd(&plain), "only the format's own text is not printable ASCII");
    // A backslash of the format itself could stand in front of a value.
    if !format.contains('\\') {
        assert_eq!(bare_quotes(&line), bare_quotes(&plain), "only the format's own quotes end a value");
    }
});

/// Quotes that no backslash escapes.
fn bare_quotes(line: &[u8]) -> usize {
    let mut quotes = 0;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quotes += 1,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    quotes
}

/// What is written for one request; `None` if the format is refused.
fn line(format: &str, values: &[&[u8]], dice: &mut Dice) -> Option<Vec<u8>> {
    let mut file = &*FILE;
    file.set_len(0).and_then(|()| file.rewind()).expect("an empty file");
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let value = |at: usize| values.get(at).copied().unwrap_or_default();
    let text = |at: usize| String::from_utf8_lossy(value(at)).into_owned();
    let log = AccessLog::new(&LogTarget::File(path), format, &text(0)).ok()?;
    let request = request(values, dice);
    let mut capture = log.begin(&request);
    if dice.roll(8) != 0 {
        let mut headers = HeaderMap::new();
        for (name, at) in [("x-value", 1), ("content-type", 2), ("set-cookie", 3)] {
            append(&mut headers, name, value(at));
        }
        log.head(
            &mut capture,
            StatusCode::from_u16(100 + dice.roll(899) as u16).expect("in range"),
            &headers,
        );
    }
    let environ: Vec<_> = log.environ_names().iter().enumerate().map(|(at, _)| Some(text(4 + at))).collect();
    let told = if dice.roll(4) == 0 { &[] } else { &environ[..] };
    let elapsed = Duration::from_nanos(dice.roll(usize::MAX) as u64);
    log.end(capture, dice.roll(usize::MAX) as u64, elapsed, told);
    drop(log);
    let mut line = Vec::new();
    file.read_to_end(&mut line).expect("the line");
    Some(line)
}

fn request(values: &[&[u8]], dice: &mut Dice) -> Request {
    let value = |at: usize| values.get(at).copied().unwrap_or_default();
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = Method::from_bytes(value(0)).unwrap_or_default();
    head.uri = Uri::try_from(value(1)).unwrap_or_default();
    let names = ["referer", "user-agent", "authorization", "script_name", "x-value", "referer"];
    for (at, name) in names.into_iter().enumerate() {
        append(&mut head.headers, name, value(2 + at));
    }
    let peers = ["192.0.2.7:1", "[2001:db8::1]:80", "[::ffff:192.0.2.7]:9", "[fe80::1%7]:5"];
    let peer = peers.get(dice.roll(5)).map(|peer| peer.parse().expect("an address"));
    let connection = Connection::new(peer, Local::Unix(PathBuf::new()), true);
    let mut request = Request::new(head, Arc::new(connection), RequestBody::Empty);
    request.raw_target = values.get(8).map(|target| Bytes::copy_from_slice(target));
    request
}

/// Appends a header, if its value can be one.
fn append(headers: &mut HeaderMap, name: &'static str, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.append(HeaderName::from_static(name), value);
    }
}
