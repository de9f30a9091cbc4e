//! Status and headers as the application gives them, and what is refused.

use super::starting;
use crate::support::collect;

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
