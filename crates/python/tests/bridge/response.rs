//! What becomes of the response that an application gives.

use ferricorn_protocol::{Answer, ResponseBody, WorkerInfo};

use crate::support::{Site, collect, get, pieces, worker};

/// An application that calls `start_response` with these arguments.
fn starting(arguments: &str) -> Site {
    Site::new(&format!(
        "
def app(environ, start_response):
    start_response({arguments})
    return [b'body']
"
    ))
}

/// An application that returns this, where `closed` counts the calls of `close()`.
fn returning(expression: &str) -> Site {
    Site::new(&format!(
        "
closed = 0
class Body:
    def __init__(self, items): self.items = iter(items)
    def __iter__(self): return self
    def __next__(self):
        item = next(self.items)
        if isinstance(item, BaseException): raise item
        return item
    def close(self):
        global closed
        closed += 1
def app(environ, start_response):
    start_response('200 OK', [])
    return {expression}
"
    ))
}

#[test]
fn status_reason_and_headers_arrive() {
    let response =
        starting("'404 Gone fishing', [('X-A', 'M\\xfcller'), ('X-B', ' 1 '), ('X-A', '2')]").get();
    assert_eq!(response.head.status, 404);
    assert_eq!(response.head.reason.as_deref(), Some(&b"Gone fishing"[..]));
    let values: Vec<_> = response.head.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    assert_eq!(values, [("x-a", &b"M\xfcller"[..]), ("x-a", b"2"), ("x-b", b"1")]);
    assert_eq!(collect(response.body), b"body");
}

#[test]
fn the_usual_reason_needs_no_mention() {
    assert_eq!(starting("'200 OK', []").get().head.reason, None);
    assert_eq!(starting("'204', ()").get().head.reason, None);
}

#[test]
fn headers_that_are_the_servers_own_are_dropped() {
    let names =
        ["Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "TE", "Trailer", "Trailers", "Server"];
    for name in names.iter().chain(&["Date", "Proxy-Authenticate", "Proxy-Authorization"]) {
        let response = starting(&format!("'200 OK', [('{name}', 'x'), ('X-Kept', '1')]")).get();
        assert_eq!(response.head.headers.len(), 1, "{name}");
    }
}

#[test]
fn what_http_cannot_carry_is_refused_and_named() {
    for (arguments, message) in [
        ("b'200 OK', []", "TypeError: the status must be str, not bytes: b'200 OK'"),
        ("'200OK', []", r#"ValueError: the status "200OK" is not of the form '200 OK'"#),
        ("'20 OK', []", r#"ValueError: the status "20 OK" is not of the form '200 OK'"#),
        ("'099 X', []", r#"ValueError: the status "099 X" is not of the form '200 OK'"#),
        ("'100 Continue', []", r#"ValueError: the status "100 Continue" is not that of a final response"#),
        ("'101 Switching', []", r#"ValueError: the status "101 Switching" is not that of a final response"#),
        ("'', []", r#"ValueError: the status "" is not of the form '200 OK'"#),
        ("'2000 OK', []", r#"ValueError: the status "2000 OK" is not of the form '200 OK'"#),
        ("'200 a\\0', []", r#"ValueError: the status "200 a\0" has a control character"#),
        ("'200 a\\r\\nX: y', []", r#"ValueError: the status "200 a\r\nX: y" has a control character"#),
        ("'200 \\u20ac', []", "ValueError: the status is not latin-1: '200 \u{20ac}'"),
        ("'200 OK', [('a b', '')]", "ValueError: the header name 'a b' is not a token"),
        ("'200 OK', [('', '')]", "ValueError: the header name '' is not a token"),
        ("'200 OK', [('A\\r\\nB', '')]", "ValueError: the header name 'A\\r\\nB' is not a token"),
        ("'200 OK', [('A\\0', '')]", "ValueError: the header name 'A\\x00' is not a token"),
        ("'200 OK', [('A:', '')]", "ValueError: the header name 'A:' is not a token"),
        ("'200 OK', [('\\xc4', '')]", "ValueError: the header name '\u{c4}' is not a token"),
        ("'200 OK', [('\\u20ac', '')]", "ValueError: a header name is not latin-1: '\u{20ac}'"),
        (
            "'200 OK', [('A', '\\0')]",
            "ValueError: the value '\\x00' of the header 'A' has a control character",
        ),
        ("'200 OK', [(b'A', '')]", "TypeError: a header name must be str, not bytes: b'A'"),
        ("'200 OK', [('A', 1)]", "TypeError: the value of the header 'A' must be str, not int: 1"),
        (
            "'200 OK', [('A', 'x\\ny')]",
            "ValueError: the value 'x\\ny' of the header 'A' has a control character",
        ),
        (
            "'200 OK', [('A', 'x\\r\\n')]",
            "ValueError: the value 'x\\r\\n' of the header 'A' has a control character",
        ),
        (
            "'200 OK', [('A', '\\u20ac')]",
            "ValueError: the value of the header 'A' is not latin-1: '\u{20ac}'",
        ),
        ("'200 OK', [('A',)]", "ValueError: a header must be (name, value), not ('A',)"),
        ("'200 OK', None", "TypeError: 'NoneType' object is not iterable"),
        (
            "'200 OK', [('Content-Length', '-1')]",
            r#"ValueError: the Content-Length "-1" is not a number of bytes"#,
        ),
        (
            "'200 OK', [('Content-Length', '')]",
            r#"ValueError: the Content-Length "" is not a number of bytes"#,
        ),
        (
            "'200 OK', [('Content-Length', '1'), ('content-length', '2')]",
            r#"ValueError: the response has two Content-Length headers, "1" and "2""#,
        ),
    ] {
        let fault = starting(arguments).fail();
        assert_eq!(fault.message, message);
        let traceback = fault.traceback.unwrap();
        assert!(
            traceback.starts_with("Traceback") && traceback.contains("shop.py\", line 3, in app"),
            "{traceback}"
        );
    }
}

#[test]
fn headers_without_end_are_refused_and_so_is_a_message_without_end() {
    for headers in [
        "[('X-%d' % n, '') for n in range(25_000)]",
        "[('Set-Cookie', '')] * 100_000",
        "(('A', '') for _ in iter(int, 1))",
    ] {
        let fault = starting(&format!("'200 OK', {headers}")).fail();
        assert_eq!(fault.message, "ValueError: the response has more than 16384 headers", "{headers}");
    }
    let most = starting("'200 OK', [('X-%d' % n, '') for n in range(16_384)]").get();
    assert_eq!(most.head.headers.len(), 16_384);
    for arguments in
        ["'x' * 1_000_000, []", "'200 OK', [('x ' * 500_000, '')]", "'200 OK', [('A', '\\n' * 1_000_000)]"]
    {
        let fault = starting(arguments).fail();
        assert!(fault.message.len() < 1000, "{arguments}: {} bytes", fault.message.len());
    }
}

#[test]
fn lists_and_tuples_are_whole_bodies() {
    for (expression, body) in [
        ("[]", &b""[..]),
        ("()", b""),
        ("[b'']", b""),
        ("[b'one']", b"one"),
        ("(b'one',)", b"one"),
        ("[b'a', b'', b'b']", b"ab"),
        ("(b'a', b'b')", b"ab"),
    ] {
        let response = returning(expression).get();
        assert!(matches!(response.body, ResponseBody::Full(_) | ResponseBody::Empty), "{expression}");
        assert_eq!(collect(response.body), body, "{expression}");
    }
    let large = returning("[b'x' * 40000, b'y' * 40000]").get();
    assert!(matches!(large.body, ResponseBody::Pulled { .. }));
    assert_eq!(collect(large.body).len(), 80000);
}

#[test]
fn a_large_body_outlives_the_python_object_and_its_thread() {
    let response = returning("[b'z' * 1000000]").get();
    let ResponseBody::Full(bytes) = response.body else { panic!("a list of one is a whole body") };
    std::thread::spawn(move || {
        assert!(bytes.len() == 1_000_000 && bytes.iter().all(|&byte| byte == b'z'));
    })
    .join()
    .unwrap();
    returning("[b'next']").get();
}

#[test]
fn a_body_of_the_wrong_type_is_named() {
    for (expression, message) in [
        ("['text']", "TypeError: the body of a WSGI response must be bytes, not str"),
        ("[b'a', bytearray()]", "TypeError: the body of a WSGI response must be bytes, not bytearray"),
        ("Body([1])", "TypeError: the body of a WSGI response must be bytes, not int"),
        ("'text'", "TypeError: the body of a WSGI response must be bytes, not str"),
        ("None", "TypeError: the application returned None instead of an iterable of bytes"),
        ("7", "TypeError: 'int' object is not iterable"),
    ] {
        assert_eq!(returning(expression).fail().message, message);
    }
}

#[test]
fn pieces_are_pulled_one_at_a_time_and_closed_once() {
    let site = returning("Body([b'', b'a', b'', b'b'])");
    let (first, mut rest) = pieces(site.get().body);
    assert_eq!(first, "a");
    assert_eq!(rest.next().unwrap().unwrap(), "b");
    assert_eq!(site.eval("closed"), "0");
    assert!(rest.next().unwrap().is_none());
    rest.close().unwrap();
    assert_eq!(site.eval("closed"), "1");
}

#[test]
fn a_body_without_bytes_is_closed_in_the_call() {
    let site = returning("Body([b'', b''])");
    assert!(matches!(site.get().body, ResponseBody::Empty));
    assert_eq!(site.eval("closed"), "1");
}

#[test]
fn a_failure_before_the_first_piece_is_a_fault_and_closes() {
    let site = returning("Body([KeyError('x')])");
    assert_eq!(site.fail().message, "KeyError: 'x'");
    assert_eq!(site.eval("closed"), "1");
}

#[test]
fn a_failure_later_is_the_pieces_own() {
    let site = returning("Body([b'a', KeyError('x')])");
    let (_, mut rest) = pieces(site.get().body);
    let fault = rest.next().unwrap_err();
    assert_eq!(fault.message, "KeyError: 'x'");
    assert!(fault.traceback.unwrap().contains("in __next__"));
    rest.close().unwrap();
    assert_eq!(site.eval("closed"), "1");
}

#[test]
fn pieces_that_are_dropped_are_closed_by_the_next_call() {
    let site = returning("Body([b'a', b'b'])");
    let (_, rest) = pieces(site.get().body);
    std::thread::spawn(move || drop(rest)).join().unwrap();
    // Calls of other tests may come first; what counts is that one of them closes it.
    let (_, other) = pieces(site.get().body);
    assert_eq!(site.eval("closed"), "1");
    other.close().unwrap();
    assert_eq!(site.eval("closed"), "2");
}

#[test]
fn a_generator_may_start_the_response_with_its_first_piece() {
    let site = Site::new(
        "
ended = []
def app(environ, start_response):
    try:
        start_response('201 Created', [('X-Lazy', '1')])
        yield b'one'
        yield b'two'
    finally:
        ended.append(1)
",
    );
    let response = site.get();
    assert_eq!(response.head.status, 201);
    assert_eq!(collect(response.body), b"onetwo");
    assert_eq!(site.eval("ended.pop()"), "1");
    let (_, rest) = pieces(site.get().body);
    assert_eq!(site.eval("ended"), "[]");
    rest.close().unwrap();
    assert_eq!(site.eval("ended"), "[1]");
}

#[test]
fn an_app_that_never_starts_its_response_fails() {
    for body in ["[b'x']", "[]", "iter([b'x', b'y'])"] {
        let fault = Site::new(&format!("def app(environ, start_response): return {body}")).fail();
        assert_eq!(
            fault.message,
            "AssertionError: the application sent a body before it called start_response"
        );
    }
}

#[test]
fn a_second_start_needs_exc_info_and_then_replaces_the_first() {
    let site = Site::new(
        "
import sys
def app(environ, start_response):
    start_response('200 OK', [('X-First', '1')])
    if environ['QUERY_STRING'] == 'bare':
        start_response('500 Oops', [])
    try:
        1 / 0
    except ZeroDivisionError:
        start_response('500 Oops', [('X-Second', '1')], sys.exc_info())
    return [b'sorry']
",
    );
    let response = site.get();
    assert_eq!(response.head.status, 500);
    assert_eq!(response.head.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-second"]);
    match site.answer(get("/?bare")) {
        Answer::Fault(fault) => {
            assert_eq!(fault.message, "AssertionError: start_response was called twice, without exc_info");
        }
        _ => panic!("the second call was accepted"),
    }
}

#[test]
fn faults_carry_message_traceback_and_exit_status() {
    let failing =
        |statement: &str| Site::new(&format!("def app(environ, start_response):\n    {statement}")).fail();
    let fault = failing("raise ValueError('first line\\nsecond')");
    assert_eq!((fault.message.as_str(), fault.exit), ("ValueError: first line", None));
    let traceback = fault.traceback.unwrap();
    assert!(
        traceback.starts_with("Traceback (most recent call last):\n  File \"shop.py\", line 2"),
        "{traceback}"
    );
    assert!(traceback.ends_with("ValueError: first line\nsecond\n"), "{traceback}");
    assert_eq!(failing("raise SystemExit").exit, Some(0));
    assert_eq!(failing("raise SystemExit(7)").exit, Some(7));
    assert_eq!(failing("raise SystemExit(256 + 3)").exit, Some(3));
    assert_eq!(failing("raise SystemExit('why')").exit, Some(1));
    assert_eq!(failing("raise KeyboardInterrupt").exit, Some(130));
    assert_eq!(
        failing("raise type('Mute', (Exception,), {'__str__': lambda self: 1})").message,
        "Mute: <unprintable>"
    );
}

#[test]
fn environ_values_for_the_access_log_are_those_after_the_call() {
    let names = ["REMOTE_USER", "shop.id", "absent"].map(str::to_owned).to_vec();
    let site = Site::with(
        "
def app(environ, start_response):
    environ['REMOTE_USER'] = 'ada'
    environ['shop.id'] = 17
    start_response('200 OK', [])
    return []
",
        "",
        &WorkerInfo { log_environ: names, ..worker() },
    );
    assert_eq!(site.get().log_environ, [Some("ada".to_owned()), Some("17".to_owned()), None]);
}

#[test]
fn the_validator_of_the_standard_library_finds_nothing() {
    let site = Site::new(
        "
import warnings, wsgiref.validate
warnings.simplefilter('error')
def inner(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    lines = environ['wsgi.input'].readlines() + [environ['wsgi.input'].readline(), environ['wsgi.input'].read(5)]
    environ['wsgi.errors'].write('complaint\\n')
    environ['wsgi.errors'].flush()
    return [b''.join(lines)]
app = wsgiref.validate.validator(inner)
",
    );
    let mut request = get("/a?b=c");
    request.body = ferricorn_protocol::RequestBody::Memory("x\ny".into());
    assert_eq!(collect(site.respond(request).body), b"x\ny");
    assert_eq!(*site.errors.lock().unwrap(), b"complaint\n");
}
