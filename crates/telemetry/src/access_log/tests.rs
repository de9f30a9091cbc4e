//! Access lines as they come out, for every atom of the format.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferricorn_config::LogTarget;
use ferricorn_protocol::{Connection, Local, Request, RequestBody};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{AccessLog, End, Format, Mutex, OpenError, Out, Sink, Stamp};

fn request(target: &str, headers: &[(&str, &[u8])], peer: Option<&str>) -> Request {
    let mut builder = http::Request::builder().method("GET").uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    let peer = peer.map(|peer| peer.parse::<SocketAddr>().unwrap());
    let connection = Connection::new(peer, Local::Unix("/run/shop.sock".into()), false);
    let head = builder.body(()).unwrap().into_parts().0;
    Request::new(head, Arc::new(connection), RequestBody::Empty)
}

/// The line for a request that was answered with 200 and 13 bytes after 1.234567 s.
fn line(format: &str, request: &Request) -> String {
    line_with(format, request, "", &[])
}

fn line_with(format: &str, request: &Request, script_name: &str, environ: &[Option<String>]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("access.log"), format, script_name);
    let mut capture = log.begin(request);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    log.head(&mut capture, StatusCode::OK, &headers);
    let queued = Some(Duration::from_micros(1_000_020));
    let end = End { bytes: 13, elapsed: Duration::from_micros(1_234_567), queued, environ };
    log.end(capture, &end);
    log.flush();
    let text = fs::read_to_string(folder.path().join("access.log")).unwrap();
    let line = text.strip_suffix('\n').expect("a line ends").to_owned();
    assert!(!line.contains('\n'), "{line}");
    line
}

fn open(path: &Path, format: &str, script_name: &str) -> AccessLog {
    AccessLog::new(&LogTarget::File(path.to_owned()), format, script_name).unwrap()
}

#[test]
fn the_default_format_gives_gunicorns_line() {
    let request = request(
        "/a%20b?c=d",
        &[("referer", b"http://x/"), ("user-agent", b"curl/8"), ("authorization", b"Basic YW5uOnNlY3JldA==")],
        Some("192.0.2.7:1234"),
    );
    let line = line(r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#, &request);
    let (before, rest) = line.split_once('[').unwrap();
    let (time, after) = rest.split_once(']').unwrap();
    assert_eq!(before, "192.0.2.7 - ann ");
    chrono::DateTime::parse_from_str(time, "%d/%b/%Y:%H:%M:%S %z").unwrap();
    assert_eq!(after, r#" "GET /a%20b?c=d HTTP/1.1" 200 13 "http://x/" "curl/8""#);
}

#[test]
fn every_atom_prints_what_gunicorn_prints() {
    let request = request("/caf%65?q=1&r", &[("x-id", b"7")], Some("[2001:db8::1]:80"));
    let cases = [
        ("%(h)s", "2001:db8::1"),
        ("%(l)s", "-"),
        ("%(u)s", "-"),
        ("%(m)s", "GET"),
        ("%(U)s", "/cafe"),
        ("%(q)s", "q=1&r"),
        ("%(H)s", "HTTP/1.1"),
        ("%(s)s", "200"),
        ("%(B)s", "13"),
        ("%(b)s", "13"),
        ("%(f)s", "-"),
        ("%(a)s", "-"),
        ("%(T)s", "1"),
        ("%(M)s", "1234"),
        ("%(D)s", "1234567"),
        ("%(L)s", "1.234567"),
        ("%(queue)s", "1.000020"),
        ("%({X-Id}i)s", "7"),
        ("%({x-missing}i)s", "-"),
        ("%({Content-Type}o)s", "text/plain"),
        ("%({Server}o)s", "-"),
        ("%(whatever)s", "-"),
        ("%%%(s)s%%", "%200%"),
    ];
    for (format, expected) in cases {
        assert_eq!(line(format, &request), expected, "{format}");
    }
    assert_eq!(line("%(p)s", &request), format!("<{}>", std::process::id()));
}

#[test]
fn the_client_behind_a_proxy_and_an_unusual_version_are_told() {
    let mut request = request("/", &[], Some("127.0.0.1:1"));
    request.client = Some("192.0.2.9".parse().unwrap());
    request.sent_version = Some((0, 9));
    assert_eq!(line("%(h)s %(H)s \"%(r)s\"", &request), "192.0.2.9 HTTP/0.9 \"GET / HTTP/0.9\"");
}

#[test]
fn widths_and_number_conversions_are_pythons() {
    let request = request("/", &[], Some("127.0.0.1:1"));
    assert_eq!(line("%(h)-15s|", &request), "127.0.0.1      |");
    assert_eq!(line("%(h)12s|", &request), "   127.0.0.1|");
    assert_eq!(line("%(D)d", &request), "1234567");
    assert_eq!(line("%(D)010d|%(s)5d|", &request), "0001234567|  200|");
    assert_eq!(line("%(r).3s|%(l)3s|", &request), "GET|  -|");
    assert_eq!(line("%({nothing}o)4s|", &request), "   -|");
}

#[test]
fn values_that_do_not_exist_are_a_dash() {
    let request = request("/", &[], None);
    assert_eq!(line("[%(h)s] [%(q)s]", &request), "[] []");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path, "%(s)s %({etag}o)s %(b)s %(queue)s", "");
    log.end(log.begin(&request), &End::default());
    log.flush();
    assert_eq!(fs::read_to_string(path).unwrap(), "- - 0 -\n");
}

#[test]
fn a_client_cannot_forge_a_line_or_drive_a_terminal() {
    let mut request = request(
        "/%0a127.0.0.1%20-%22",
        &[("user-agent", b"a\" \"b\\\tc\xff"), ("authorization", b"Basic bWEKbGljZTp4")],
        Some("127.0.0.1:1"),
    );
    request.raw_target = Some("/\u{1b}]0;x\u{7}".into());
    assert_eq!(line("%(a)s", &request), r#"a\" \"b\x5C\x09c\xFF"#);
    assert_eq!(line("%(u)s", &request), r"ma\x0Alice");
    assert_eq!(line("%(r)s", &request), r"GET /\x1B]0;x\x07 HTTP/1.1");
    request.raw_target = None;
    assert_eq!(line("%(U)s", &request), r#"/\x0A127.0.0.1 -\""#);
    request.raw_target = Some("/?x=\"\r".into());
    assert_eq!(line("%(q)s", &request), r#"x=\"\x0D"#);
}

/// Every byte but CR and LF, which no head passes on, and NUL, which no header value can be made of.
const HOSTILE: &[u8] = b"\"\\\t \x80\xff\xe2\x80\xae";
/// The same as a line shows it.
const TAME: &str = r#"\"\x5C\x09 \x80\xFF\xE2\x80\xAE"#;

#[test]
fn every_atom_that_a_client_or_the_application_fills_is_escaped() {
    // Base64 of `"`, `\`, LF, ESC, `x:`.
    let user = b"Basic IlwKG3g6";
    let headers: &[(&str, &[u8])] =
        &[("referer", HOSTILE), ("user-agent", HOSTILE), ("x-any", HOSTILE), ("authorization", user)];
    let mut request = request("/", headers, Some("127.0.0.1:1"));
    request.raw_target = Some(b"/\"\\\n\x1b\xe9?\"\\\n\x1b\xe9".as_slice().into());
    let odd = r#"\"\x5C\x0A\x1B\xE9"#;
    assert_eq!(line("%(r)s", &request), format!("GET /{odd}?{odd} HTTP/1.1"));
    assert_eq!(line("%(r)-1s", &request), format!("GET /{odd}?{odd} HTTP/1.1"));
    assert_eq!(line("%(U)s", &request), format!("/{odd}"));
    assert_eq!(line("%(q)s", &request), odd);
    assert_eq!(line("%(u)s", &request), r#"\"\x5C\x0A\x1Bx"#);
    for atom in ["f", "a", "{x-any}i", "{Referer}i"] {
        assert_eq!(line(&format!("%({atom})s"), &request), TAME, "{atom}");
    }
    let environ = [Some("\"\\\n\u{1b}\u{e9}\u{202e}".to_owned())];
    let shown = line_with("%({REMOTE_USER}e)s", &request, "", &environ);
    assert_eq!(shown, r#"\"\x5C\x0A\x1B\xC3\xA9\xE2\x80\xAE"#);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path, "%({x-any}o)s", "");
    let mut capture = log.begin(&request);
    let answer = [("x-any".parse().unwrap(), HeaderValue::from_bytes(HOSTILE).unwrap())];
    log.head(&mut capture, StatusCode::OK, &answer.into_iter().collect());
    log.end(capture, &End::default());
    log.flush();
    assert_eq!(fs::read_to_string(path).unwrap(), format!("{TAME}\n"));
}

/// The line of a request that was refused with 400.
fn refused(format: &str, peer: Option<&str>, first_line: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path, format, "/shop");
    let mut capture = log.begin_refused(peer.map(|peer| peer.parse().unwrap()), first_line);
    log.head(&mut capture, StatusCode::BAD_REQUEST, &HeaderMap::new());
    log.end(capture, &End { bytes: 7, ..End::default() });
    log.flush();
    fs::read_to_string(path).unwrap().trim_end_matches('\n').to_owned()
}

#[test]
fn a_refused_request_tells_what_is_known_of_it() {
    let all = "%(h)s %(l)s %(u)s \"%(r)s\" %(m)s %(U)s %(q)s %(H)s %(s)s %(b)s \"%(f)s\" \"%(a)s\" %({x}i)s %({x}o)s %({x}e)s";
    let known = refused(all, Some("192.0.2.7"), b"GET /shop/a%22b?c HTTP/1.1");
    assert_eq!(
        known,
        r#"192.0.2.7 - - "GET /shop/a%22b?c HTTP/1.1" GET /a\"b c HTTP/1.1 400 7 "-" "-" - - -"#
    );
    assert_eq!(refused(all, Some("192.0.2.7"), b""), r#"192.0.2.7 - - "-" - - - - 400 7 "-" "-" - - -"#);
    for odd in
        [&b"\x16\x03\x01"[..], b"GET  HTTP/1.1", b"GET / x", b"GET / a HTTP/1.1", b" / HTTP/1.1", b"GET /"]
    {
        assert_eq!(refused("%(m)s%(U)s%(q)s%(H)s", None, odd), "----", "{odd:?}");
    }
    assert_eq!(refused("%(r)s", None, b"\"\\\n\x1b\0\xe9"), r#"\"\x5C\x0A\x1B\x00\xE9"#);
    assert_eq!(refused("[%(h)s]", None, b""), "[]", "a Unix socket");
}

#[test]
fn the_user_comes_from_basic_authentication_only() {
    let cases: [(&[u8], &str); 8] = [
        (b"Basic YW5uOnNlY3JldA==", "ann"),
        (b"basic YW5uOnNlY3JldA", "ann"),
        (b"Basic  YW5u ", "ann"),
        (b"Basic OnNlY3JldA==", "-"),
        (b"Basic not base64!", "-"),
        (b"Basic /w==", "-"),
        (b"Basic", "-"),
        (b"Bearer YW5uOnNlY3JldA==", "-"),
    ];
    for (header, user) in cases {
        let request = request("/", &[("authorization", header)], None);
        assert_eq!(line("%(u)s", &request), user, "{}", String::from_utf8_lossy(header));
    }
}

#[test]
fn the_path_is_that_of_the_application() {
    let mut mounted = request("/shop/cart", &[], None);
    assert_eq!(line_with("%(U)s", &mounted, "/shop", &[]), "/cart");
    assert_eq!(line_with("%(U)s", &mounted, "/other", &[]), "/shop/cart");
    mounted.head.headers.insert("script_name", HeaderValue::from_static("/shop/c"));
    assert_eq!(line_with("%(U)s", &mounted, "", &[]), "art");
}

#[test]
fn environ_values_come_in_the_order_of_their_names() {
    let format = "%({REMOTE_USER}e)s %({shop.id}e)s %({remote_user}e)s %({X}e)s";
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("access.log"), format, "");
    assert_eq!(log.environ_names(), ["REMOTE_USER", "shop.id", "X"]);
    let values = [Some("ann".to_owned()), Some("a\nb".to_owned()), None];
    let request = request("/", &[], None);
    assert_eq!(line_with(format, &request, "", &values), r"ann a\x0Ab ann -");
    assert_eq!(line_with(format, &request, "", &[]), "- - - -");
}

#[test]
fn the_last_head_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path, "%(s)s %({x}o)s", "");
    let mut capture = log.begin(&request("/", &[], None));
    let mut headers = HeaderMap::new();
    headers.insert("x", HeaderValue::from_static("a first, long value"));
    log.head(&mut capture, StatusCode::OK, &headers);
    log.head(&mut capture, StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new());
    log.end(capture, &End::default());
    log.flush();
    assert_eq!(fs::read_to_string(path).unwrap(), "500 -\n");
}

#[test]
fn lines_wait_for_the_flush_or_a_full_buffer_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path, "%(a)s", "");
    let short = request("/", &[("user-agent", b"short")], None);
    log.end(log.begin(&short), &End::default());
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    let long = request("/", &[("user-agent", "x".repeat(6000).as_bytes())], None);
    for _ in 0..3 {
        log.end(log.begin(&long), &End::default());
    }
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
    log.end(log.begin(&short), &End::default());
    drop(log);
    let text = fs::read_to_string(&path).unwrap();
    let lengths: Vec<_> = text.lines().map(str::len).collect();
    assert_eq!(lengths, [5, 6000, 6000, 6000, 5]);
}

#[test]
fn reopening_follows_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = open(&path, "%(m)s", "");
    let request = request("/", &[], None);
    log.end(log.begin(&request), &End::default());
    fs::rename(&path, &rotated).unwrap();
    log.reopen().unwrap();
    log.end(log.begin(&request), &End::default());
    log.flush();
    assert_eq!(fs::read_to_string(&rotated).unwrap(), "GET\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "GET\n");
}

#[test]
fn a_wrong_format_and_an_unwritable_file_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let target = LogTarget::File(folder.path().join("no/access.log"));
    let error = AccessLog::new(&target, "%(h)d", "").unwrap_err();
    assert!(matches!(&error, OpenError::Format(_)) && error.to_string().contains("'%(h)d'"), "{error}");
    let error = AccessLog::new(&target, "%(h)s", "").unwrap_err();
    assert!(error.to_string().starts_with("cannot open the access log '"), "{error}");
}

/// The JSON line for a request that was answered with 200 and 13 bytes after 1.234567 s, and these headers.
fn object(request: Option<&Request>, headers: &HeaderMap) -> (String, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let sink = Sink::open(&LogTarget::File(path.clone()), "access log").unwrap();
    let out = Mutex::new(Out::new(Stamp::precise(), Some(sink), None, None));
    let log = AccessLog {
        format: Format::json(),
        script_name: String::new(),
        out,
        has_environ: true,
        behind: None,
    };
    let mut capture =
        request.map_or_else(|| log.begin_refused(None, b"GARBAGE\xff"), |request| log.begin(request));
    log.head(&mut capture, StatusCode::OK, headers);
    log.end(capture, &End { bytes: 13, elapsed: Duration::from_micros(1_234_567), ..End::default() });
    log.flush();
    let text = fs::read_to_string(path).unwrap();
    let line = text.strip_suffix('\n').unwrap().to_owned();
    assert!(line.is_ascii() && !line.contains('\n'), "{line}");
    let object = serde_json::from_str(&line).unwrap();
    (line, object)
}

#[test]
fn a_json_line_has_every_member_whatever_a_client_sends() {
    let request = request(
        "/a%0a?c=d",
        &[
            ("host", b"x.example"),
            ("user-agent", b"\"\\\xe9\t"),
            ("authorization", b"Basic YW5uOnNlY3JldA=="),
            ("x-request-id", b"of-request"),
        ],
        Some("192.0.2.7:1234"),
    );
    let (line, object) = object(Some(&request), &HeaderMap::new());
    let time = object["time"].as_str().unwrap();
    chrono::DateTime::parse_from_rfc3339(time).unwrap();
    let expected = serde_json::json!({
        "time": time, "pid": std::process::id(), "client": "192.0.2.7", "user": "ann", "method": "GET",
        "target": "/a%0a?c=d", "protocol": "HTTP/1.1", "host": "x.example", "referer": null,
        "user_agent": "\"\\é\t", "request_id": "of-request", "status": 200, "bytes": 13,
        "duration": 1.234567, "queue": null,
    });
    assert_eq!(object, expected);
    assert!(line.starts_with(r#"{"time":"#), "{line}");
}

#[test]
fn the_request_id_of_the_response_counts_more() {
    let request = request("/", &[("x-request-id", b"of-request")], None);
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("of-response"));
    assert_eq!(object(Some(&request), &headers).1["request_id"], "of-response");
    let told = object(None, &HeaderMap::new()).1;
    assert_eq!(
        (&told["request_id"], &told["client"], &told["method"]),
        (&told["queue"], &told["user"], &told["host"])
    );
    assert!(told["host"].is_null());
}

#[test]
fn what_python_makes_a_line_of_is_one_object() {
    let request = request("/a%20b?c=d", &[("x-one", b"1"), ("x-two", b"\"\xff")], Some("192.0.2.7:1234"));
    let format = Format::python("%(h)s %({x.buyer}e)s %({none}e)s", false);
    let mut capture = format.capture(|out, atom, shape| super::request::push(out, atom, shape, &request, ""));
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    format.head(&mut capture, StatusCode::OK, &headers);
    let environ = [Some("ann".to_owned()), None];
    let end = End { bytes: 13, elapsed: Duration::from_micros(1_234), environ: &environ, ..End::default() };
    let mut line = Vec::new();
    format.render(&mut line, &capture, &end, &mut Stamp::precise());
    let expected = serde_json::json!({
        "client": "192.0.2.7", "line": "GET /a%20b?c=d HTTP/1.1", "method": "GET", "target": "/a%20b?c=d",
        "path": "/a b", "query": "c=d", "protocol": "HTTP/1.1", "headers": [["x-one", "1"], ["x-two", "\"\u{ff}"]],
        "status": 200, "response_headers": [["content-type", "text/plain"]], "bytes": 13, "micros": 1234,
        "queue": null, "environ x.buyer": "ann", "environ NONE": null,
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).unwrap(), expected);
    let refused =
        format.capture(|out, atom, shape| super::refused::push(out, atom, shape, None, b"GARBAGE", ""));
    line.clear();
    format.render(&mut line, &refused, &End::default(), &mut Stamp::precise());
    let told: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&told["line"], &told["method"]), (&"GARBAGE".into(), &serde_json::Value::Null));
    assert_eq!((&told["headers"], &told["status"]), (&serde_json::json!([]), &serde_json::Value::Null));
}
