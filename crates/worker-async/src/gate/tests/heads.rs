//! The head scanner alone: every row of the corpus, whole and in parts, and the limits.

use ferricorn_config::Grammar;

use super::corpus::{BAD, GOOD, GOOD_BODIES};
use crate::gate::fields::Framing;
use crate::gate::head::{Head, HeadScanner, Scan};
use crate::gate::rules::HeadRules;

/// The outcome of a scan: the head, or a status.
fn outcome(scan: Scan) -> Option<Result<Head, u16>> {
    match scan {
        Scan::Incomplete => None,
        Scan::Whole(head) => Some(Ok(head)),
        Scan::Refused(refusal) => Some(Err(refusal.status.as_u16())),
    }
}

fn whole(bytes: &[u8], rules: &HeadRules) -> Option<Result<Head, u16>> {
    outcome(HeadScanner::default().scan(bytes, rules))
}

/// Scans after each byte; gives the first outcome and how many bytes it took.
fn bytewise(bytes: &[u8], rules: &HeadRules) -> Option<(usize, Result<Head, u16>)> {
    let mut scanner = HeadScanner::default();
    (1..=bytes.len()).find_map(|end| Some((end, outcome(scanner.scan(&bytes[..end], rules))?)))
}

fn check_limits(rules: &HeadRules, bytes: &[u8], expected: Option<Result<(), u16>>) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
    let seen = whole(bytes, rules).map(|outcome| outcome.map(|_| ()));
    assert_eq!(seen, expected, "{text}");
    let seen = bytewise(bytes, rules).map(|(_, outcome)| outcome.map(|_| ()));
    assert_eq!(seen, expected, "byte by byte: {text}");
}

#[test]
fn good_heads_pass_at_their_last_byte_however_they_arrive() {
    let rules = HeadRules::standard();
    for (text, target) in GOOD {
        let bytes = text.as_bytes();
        let head = whole(bytes, &rules).unwrap_or_else(|| panic!("incomplete: {text:?}"));
        let head = head.unwrap_or_else(|status| panic!("{status}: {text:?}"));
        assert_eq!(head.length, bytes.len(), "{text:?}");
        assert_eq!(&bytes[head.target.clone()], target.as_bytes(), "{text:?}");
        assert_eq!(bytewise(bytes, &rules), Some((bytes.len(), Ok(head.clone()))), "{text:?}");
        for split in 0..bytes.len() {
            let mut scanner = HeadScanner::default();
            assert!(outcome(scanner.scan(&bytes[..split], &rules)).is_none(), "{text:?} at {split}");
            assert_eq!(outcome(scanner.scan(bytes, &rules)), Some(Ok(head.clone())), "{text:?} at {split}");
        }
        let more = [bytes, b"GET"].concat();
        assert_eq!(whole(&more, &rules), Some(Ok(head)), "{text:?} and more");
    }
}

#[test]
fn bad_heads_are_refused_however_they_arrive() {
    let rules = HeadRules::standard();
    for (text, status) in BAD {
        let bytes = text.as_bytes();
        assert_eq!(whole(bytes, &rules), Some(Err(*status)), "{text:?}");
        let (_, seen) = bytewise(bytes, &rules).unwrap_or_else(|| panic!("incomplete: {text:?}"));
        assert_eq!(seen, Err(*status), "byte by byte: {text:?}");
        for split in 0..bytes.len() {
            let mut scanner = HeadScanner::default();
            let first = outcome(scanner.scan(&bytes[..split], &rules));
            let seen = first.or_else(|| outcome(scanner.scan(bytes, &rules)));
            assert_eq!(seen, Some(Err(*status)), "{text:?} at {split}");
        }
    }
}

#[test]
fn the_framing_is_what_the_fields_say() {
    let rules = HeadRules::standard();
    for (text, _) in GOOD_BODIES {
        let bytes = format!("POST / HTTP/1.1\r\n{text}");
        let Some(Ok(head)) = whole(bytes.as_bytes(), &rules) else { panic!("{text:?}") };
        let chunked = text.to_ascii_lowercase().starts_with('t');
        let expected = if chunked { Framing::Chunked } else { Framing::Length(3) };
        assert_eq!(head.framing, expected, "{text:?}");
        let coded = text.contains("gzip") || text.contains("deflate");
        assert_eq!(head.last, coded, "a coded body is the last: {text:?}");
    }
    let none = whole(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", &rules).unwrap().unwrap();
    assert_eq!(none.framing, Framing::None);
    let most = whole(b"POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n", &rules);
    assert_eq!(most.unwrap().unwrap().framing, Framing::Length(i64::MAX as u64));
}

#[test]
fn what_hyper_does_not_say_is_noted() {
    let head = |text: &str| whole(text.as_bytes(), &HeadRules::standard()).unwrap().unwrap();
    assert!(!head("GET / HTTP/1.1\r\nX-A: _\r\n\r\n").underscores);
    assert!(head("GET / HTTP/1.1\r\nX_A: b\r\n\r\n").underscores);
    assert!(head("CONNECT a:1 HTTP/1.1\r\n\r\n").last);
    assert!(!head("GET /a?b HTTP/1.1\r\n\r\n").keep_target);
    assert!(!head("OPTIONS * HTTP/1.1\r\n\r\n").keep_target);
    assert!(head("GET http://a/ HTTP/1.1\r\n\r\n").keep_target);
    assert!(!head("GET http://a/ HTTP/1.1\r\n\r\n").rewrite);
    assert!(head("GET /#a HTTP/1.1\r\n\r\n").keep_target);
}

#[test]
fn a_websocket_is_asked_for_by_two_fields() {
    let rules = HeadRules::standard().with_websockets(true);
    for (fields, asks) in [
        ("Upgrade: websocket\r\nConnection: Upgrade", true),
        ("connection:upgrade\r\nUPGRADE:WebSocket", true),
        ("Connection: keep-alive\r\nUpgrade: websocket\r\nConnection: ,\tUPGRADE ,close", true),
        ("Upgrade: websocket", false),
        ("Upgrade: websocket\r\nConnection: keep-alive", false),
        ("Upgrade: websocket\r\nConnection:", false),
        ("Upgrade: websocket\r\nConnection: up grade, upgrades, -upgrade", false),
        ("Upgrade: websocket\r\nX-Connection: upgrade\r\nX: Connection: upgrade", false),
        ("Upgrade: h2c\r\nConnection: upgrade", false),
    ] {
        for more in ["", "Connection: upgrade\r\n\r\n"] {
            let text = format!("\r\nGET / HTTP/1.1\r\n{fields}\r\n\r\n{more}");
            let head = whole(text.as_bytes(), &rules).unwrap().unwrap();
            assert_eq!(head.websocket, asks, "{text:?}");
            assert_eq!(bytewise(text.as_bytes(), &rules), Some((head.length, Ok(head))), "{text:?}");
        }
        let text = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
        assert!(!whole(text.as_bytes(), &HeadRules::standard()).unwrap().unwrap().websocket, "{text:?}");
    }
}

#[test]
fn a_rewritten_head_keeps_all_but_what_hyper_refuses() {
    let rewritten = |text: &str| {
        let head = whole(text.as_bytes(), &HeadRules::standard()).unwrap().unwrap();
        assert!(head.rewrite, "{text:?}");
        String::from_utf8(head.rewritten(text.as_bytes(), Grammar::default())).unwrap()
    };
    assert_eq!(
        rewritten("\r\nGET /<`?\"#x HTTP/1.1\r\nA: b\r\n\r\n"),
        "\r\nGET /%3C%60?%22 HTTP/1.1\r\nA: b\r\n\r\n"
    );
    assert_eq!(rewritten("GET /a HTTP/1.7\r\nA: b\r\n\r\n"), "GET /a HTTP/1.1\r\nA: b\r\n\r\n");
    assert_eq!(rewritten("GET /> HTTP/1.0\r\n\r\n"), "GET /%3E HTTP/1.0\r\n\r\n");
}

#[test]
fn limits_hold_to_the_byte() {
    let rules = HeadRules { line: 20, fields: 2, field_size: 10, head: 1000, ..HeadRules::standard() };
    let check = |text: &str, expected| check_limits(&rules, text.as_bytes(), expected);
    check("GET /789012 HTTP/1.1\r\n\r\n", Some(Ok(())));
    check("\r\nGET /789012 HTTP/1.1\r\n\r\n", Some(Ok(())));
    check("GET /7890123 HTTP/1.1\r\n\r\n", Some(Err(414)));
    check("GET / HTTP/1.1\r\nX: 45678\r\n\r\n", Some(Ok(())));
    check("GET / HTTP/1.1\r\nX: 456789\r\n\r\n", Some(Err(431)));
    check("GET / HTTP/1.1\r\nA: b\r\nA: b\r\n\r\n", Some(Ok(())));
    check("GET / HTTP/1.1\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", Some(Err(431)));
    let rules = HeadRules { line: 20, fields: 100, field_size: 100, head: 30, ..HeadRules::standard() };
    check_limits(&rules, b"GET / HTTP/1.1\r\nA: 45678901\r\n\r\n", Some(Ok(())));
    check_limits(&rules, b"GET / HTTP/1.1\r\nA: 4567890\r\nA: b\r\n\r\n", Some(Err(431)));
}

#[test]
fn lines_without_end_are_refused_before_they_end() {
    let rules = HeadRules::standard();
    let line = [b"GET /".as_slice(), &[b'a'; 5000]].concat();
    check_limits(&rules, &line, Some(Err(414)));
    let name = [b"GET / HTTP/1.1\r\n".as_slice(), &[b'a'; 9000]].concat();
    check_limits(&rules, &name, Some(Err(431)));
    let fields = [b"GET / HTTP/1.1\r\n".as_slice(), &b"a: b\r\n".repeat(101)].concat();
    check_limits(&rules, &fields, Some(Err(431)));
    check_limits(&rules, &b"\r\n".repeat(1000), Some(Err(400)));
    let (taken, _) = bytewise(b"\x16\x03\x01", &rules).unwrap();
    assert_eq!(taken, 1, "a TLS hello is refused at its first byte");
}

#[test]
fn limits_that_hyper_could_not_follow_are_cut() {
    let all = usize::MAX;
    let limits = ferricorn_config::Limits {
        request_line: all,
        request_fields: all,
        request_field_size: all,
        request_body: None,
    };
    let rules = HeadRules::new(&limits, Grammar::default());
    assert!(rules.line <= 65_534 && rules.field_size <= 65_535, "{rules:?}");
    assert!(rules.fields <= 24_576 && rules.head < 408 * 1024, "{rules:?}");
}
