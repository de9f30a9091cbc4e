//! A second opinion on HTTP/1.1: slow, strict, and written from the RFCs alone (9110, 9112).
//!
//! It shares no code with the gate. Whatever the gate lets through must be sound here too, and say the same.

use ferricorn_config::Grammar;

/// A head, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub method: String,
    pub target: Vec<u8>,
    /// The two digits of the version.
    pub version: (u8, u8),
    /// Names in lower case, values trimmed, in the order of the names, then as sent.
    pub fields: Vec<(String, Vec<u8>)>,
    pub framing: Framing,
}

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// A body, decoded as far as it goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub data: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
    /// How many bytes it takes with its framing, if it is complete.
    pub length: Option<usize>,
}

type Result<T> = std::result::Result<T, &'static str>;

/// Reads a head, blank line included, in front of which one CRLF may stand.
pub fn head(bytes: &[u8], grammar: Grammar) -> Result<Head> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let text = bytes.strip_suffix(b"\r\n\r\n").ok_or("no blank line")?;
    let lines = lines(text)?;
    let (request, lines) = lines.split_first().ok_or("no request line")?;
    let parts: Vec<&[u8]> = request.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else { return Err("not three parts in the request line") };
    let method = self::method(method, grammar)?;
    ensure(!target.is_empty() && target.iter().all(u8::is_ascii_graphic), "target")?;
    let version = match version.strip_prefix(b"HTTP/") {
        Some(&[major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9']) => (major - b'0', minor - b'0'),
        _ => return Err("version"),
    };
    ensure(version.0 == 1 || grammar.permit_unconventional_http_version, "version")?;
    let lines = if grammar.permit_obsolete_folding { unfolded(lines) } else { owned(lines) };
    let fields = fields(&lines, grammar.strip_header_spaces)?;
    let framing = framing(&fields, version)?;
    let host = fields.iter().any(|(name, _)| name == "host");
    ensure(host || !grammar.require_host || version < (1, 1), "no Host")?;
    target_form(&method, target)?;
    Ok(Head { method, target: target.to_vec(), version, fields, framing })
}

fn method(method: &[u8], grammar: Grammar) -> Result<String> {
    ensure(!method.is_empty() && method.iter().all(|&byte| is_token(byte)), "method")?;
    let upper = |byte: &u8| !byte.is_ascii_lowercase() && *byte != b'#';
    let usual = (3..=20).contains(&method.len()) && method.iter().all(upper);
    ensure(usual || grammar.permit_unconventional_http_method, "an unusual method")?;
    let method = text_of(method);
    Ok(if grammar.casefold_http_method { method.to_ascii_uppercase() } else { method })
}

/// Joins folded lines (RFC 9112 section 5.2) with a space each.
fn unfolded(lines: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        match fields.last_mut() {
            Some(field) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                field.push(b' ');
                field.extend_from_slice(trim(line));
            }
            _ => fields.push(trim_end(line).to_vec()),
        }
    }
    fields
}

fn owned(lines: &[&[u8]]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| line.to_vec()).collect()
}

/// Reads a body. An error means that it is broken; not all of it need be there.
pub fn body(framing: Framing, bytes: &[u8]) -> Result<Body> {
    match framing {
        Framing::Length(length) => {
            let whole = usize::try_from(length).ok().filter(|&length| length <= bytes.len());
            Ok(Body {
                data: bytes[..whole.unwrap_or(bytes.len())].to_vec(),
                length: whole,
                ..Body::default()
            })
        }
        Framing::Chunked => chunked(bytes),
    }
}

fn chunked(bytes: &[u8]) -> Result<Body> {
    let mut body = Body::default();
    let mut rest = bytes;
    loop {
        let Some((line, behind)) = line(rest)? else { return Ok(body) };
        let size = chunk_size(line)?;
        if size == 0 {
            rest = behind;
            break;
        }
        let there = usize::try_from(size).unwrap_or(usize::MAX).min(behind.len());
        body.data.extend_from_slice(&behind[..there]);
        match &behind[there..] {
            [b'\r', b'\n', next @ ..] => rest = next,
            [] | [b'\r'] => return Ok(body),
            _ => return Err("chunk data does not end in CRLF"),
        }
    }
    let mut trailers = Vec::new();
    while let Some((line, behind)) = line(rest)? {
        rest = behind;
        if line.is_empty() {
            body.trailers = fields(&trailers, false)?;
            let forbidden = ["host", "content-length", "transfer-encoding", "trailer", "authorization", "te"];
            let bad = |(name, _): &(String, _)| forbidden.contains(&name.as_str());
            ensure(!body.trailers.iter().any(bad), "a trailer that frames, routes or authorizes")?;
            body.length = Some(bytes.len() - rest.len());
            return Ok(body);
        }
        trailers.push(line.to_vec());
    }
    Ok(body)
}

/// `chunk-size [ chunk-ext ]`, without the CRLF.
fn chunk_size(line: &[u8]) -> Result<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| "not ASCII")?;
    let size = i64::from_str_radix(text, 16).map_err(|_| "chunk size")?.unsigned_abs();
    let mut rest = &line[digits..];
    while !rest.is_empty() {
        rest = blank(rest).strip_prefix(b";").ok_or("no semicolon before an extension")?;
        rest = token(blank(rest))?;
        if let Some(value) = blank(rest).strip_prefix(b"=") {
            let value = blank(value);
            rest = match value.strip_prefix(b"\"") {
                Some(quoted) => quoted_end(quoted)?,
                None => token(value)?,
            };
        }
    }
    Ok(size)
}

fn token(bytes: &[u8]) -> Result<&[u8]> {
    let length = bytes.iter().take_while(|&&byte| is_token(byte)).count();
    ensure(length > 0, "an empty token")?;
    Ok(&bytes[length..])
}

/// What follows the closing quote.
fn quoted_end(mut bytes: &[u8]) -> Result<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] if is_text(*byte) => rest,
            _ => return Err("a quoted string that does not end"),
        }
    }
}

/// RFC 9112 section 3.2: which form goes with which method.
fn target_form(method: &str, target: &[u8]) -> Result<()> {
    match target {
        [b'/', ..] => ensure(method != "CONNECT", "CONNECT wants an authority"),
        b"*" => ensure(method == "OPTIONS", "the asterisk is for OPTIONS"),
        _ if method == "CONNECT" => ensure(!target.contains(&b'/'), "an authority has no slash"),
        _ => {
            let colon = target.windows(3).position(|window| window == b"://").ok_or("relative")?;
            let scheme = &target[..colon];
            let letters = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            ensure(!scheme.is_empty() && scheme.iter().all(letters), "scheme")?;
            let host = target.get(colon + 3).ok_or("no host")?;
            ensure(!b"/?#".contains(host), "no host")
        }
    }
}

fn framing(fields: &[(String, Vec<u8>)], version: (u8, u8)) -> Result<Framing> {
    let all = |name: &'static str| {
        fields.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_slice())
    };
    ensure(all("host").count() <= 1, "two Hosts")?;
    ensure(all("host").all(host_and_port), "Host")?;
    ensure(all("content-type").count() <= 1, "two Content-Types")?;
    let codings: Vec<Vec<u8>> = all("transfer-encoding")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|coding| trim(coding).to_ascii_lowercase())
        .collect();
    let lengths: Vec<&[u8]> = all("content-length").collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) => {
            ensure(length.iter().all(u8::is_ascii_digit), "Content-Length is not digits")?;
            let digits = std::str::from_utf8(length).map_err(|_| "not ASCII")?;
            Ok(Framing::Length(digits.parse::<i64>().map_err(|_| "Content-Length")?.unsigned_abs()))
        }
        ([], [before @ .., last]) => {
            ensure(version >= (1, 1), "Transfer-Encoding in HTTP/1.0")?;
            ensure(last == b"chunked", "the last coding is not chunked")?;
            let known = [b"gzip".as_slice(), b"deflate", b"compress", b"identity"];
            ensure(before.iter().all(|coding| known.contains(&coding.as_slice())), "coding")?;
            Ok(Framing::Chunked)
        }
        _ => Err("contradicting framing"),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2); each part may be empty, but not the address between brackets.
fn host_and_port(value: &[u8]) -> bool {
    let text = text_of(value);
    let (host, port) = match text.rfind(':').filter(|&colon| !text[colon..].contains(']')) {
        Some(colon) => (&text[..colon], &text[colon + 1..]),
        None => (text.as_str(), ""),
    };
    let port = port.is_empty()
        || port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u128>().is_ok_and(|port| port < 1 << 16);
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    port && match address {
        Some(address) => {
            !address.is_empty() && address.chars().all(|c| c.is_ascii_hexdigit() || ":.".contains(c))
        }
        None => host.chars().all(|c| c.is_ascii_alphanumeric() || "-._~%!$&'()*+;=".contains(c)),
    }
}

/// Lines between CRLFs; no CR or LF stands anywhere else.
fn lines(text: &[u8]) -> Result<Vec<&[u8]>> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((line, behind)) = line(rest)? {
        lines.push(line);
        rest = behind;
    }
    ensure(!rest.contains(&b'\r'), "a bare CR")?;
    lines.push(rest);
    Ok(lines)
}

/// The first line, if its CRLF is there.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], &[u8])>> {
    let Some(at) = bytes.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let line = bytes[..at].strip_suffix(b"\r").ok_or("a bare LF")?;
    ensure(!line.contains(&b'\r'), "a bare CR")?;
    Ok(Some((line, &bytes[at + 1..])))
}

fn fields(lines: &[Vec<u8>], strip: bool) -> Result<Vec<(String, Vec<u8>)>> {
    let mut fields = Vec::new();
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':').ok_or("no colon")?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let name = if strip { trim_end(name) } else { name };
        ensure(!name.is_empty() && name.iter().all(|&byte| is_token(byte)), "field name")?;
        ensure(value.iter().all(|&byte| is_text(byte)), "field value")?;
        fields.push((text_of(&name.to_ascii_lowercase()), trim(value).to_vec()));
    }
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(fields)
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn blank(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().take_while(|byte| b" \t".contains(byte)).count();
    &bytes[length..]
}

fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(blank(bytes))
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let tail = bytes.iter().rev().take_while(|byte| b" \t".contains(byte)).count();
    &bytes[..bytes.len() - tail]
}

fn ensure(good: bool, why: &'static str) -> Result<()> {
    if good { Ok(()) } else { Err(why) }
}
