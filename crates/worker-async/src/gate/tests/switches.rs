//! The switches that loosen or tighten the grammar: what each lets through, and what it does not.

use ferricorn_config::Grammar;

use super::harness::{Client, run, statuses};
use crate::gate::fuzz::{End, Rules, pass};

const FOLDS: Grammar = Grammar { permit_obsolete_folding: true, ..NONE };
const SPACES: Grammar = Grammar { strip_header_spaces: true, ..NONE };
const METHODS: Grammar = Grammar { permit_unconventional_http_method: true, ..NONE };
const VERSIONS: Grammar = Grammar { permit_unconventional_http_version: true, ..NONE };
const HOST: Grammar = Grammar { require_host: true, ..NONE };
const NONE: Grammar = Grammar {
    permit_obsolete_folding: false,
    strip_header_spaces: false,
    permit_unconventional_http_method: false,
    permit_unconventional_http_version: false,
    casefold_http_method: false,
    require_host: false,
};

/// What hyper gets for these bytes, however they are cut; or the status of the refusal.
fn passed(text: &str, grammar: Grammar) -> Result<String, u16> {
    let rules = Rules::with(grammar);
    let whole = pass([text.as_bytes()], rules);
    assert_eq!(pass(text.as_bytes().chunks(1), rules), whole, "{text:?}");
    match whole.end {
        End::Refused(status) => Err(status),
        _ => Ok(String::from_utf8(whole.bytes).unwrap()),
    }
}

/// What the app answers to these requests.
fn answers(text: &str, grammar: Grammar) -> String {
    run(async {
        let mut client = Client::under(grammar);
        client.send_all(text.as_bytes().chunks(7)).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await;
        client.rest().await
    })
}

#[test]
fn folded_lines_are_joined() {
    for (folded, joined) in [
        ("X: a\r\n b\r\n", "X: a b\r\n"),
        ("X: a \t\r\n \t b\t \r\n\tc:d\r\nY: e\r\n", "X: a b c:d\r\nY: e\r\n"),
        ("X: a\r\n \r\n b\r\n", "X: a  b\r\n"),
        ("X:\r\n b\r\n", "X: b\r\n"),
        ("Transfer-Encoding: gzip\r\n , chunked\r\n", "Transfer-Encoding: gzip , chunked\r\n"),
        ("Y: e\r\nX: a\r\n b\r\nZ_Y: f\r\n", "Y: e\r\nX: a b\r\nZ_Y: f\r\n"),
    ] {
        let head = |fields: &str| format!("\r\nGET /a HTTP/1.1\r\nA: b\r\n{fields}\r\n");
        assert_eq!(passed(&head(folded), FOLDS), Ok(head(joined)));
        assert_eq!(passed(&head(folded), NONE), Err(400));
    }
    for (fields, status) in [
        (" X: a\r\n", 400),
        ("X: a\r\n b\n", 400),
        ("X: a\r\n b\0\r\n", 400),
        ("X: a\r\n b\rc\r\n", 400),
        ("X: a\r\n b\r\nY : c\r\n", 400),
        ("X: a\r\n b\r\nHost: c\r\nHost: d\r\n", 400),
        ("Content-Length: 1\r\n 2\r\n", 400),
        ("Content-Length: 1\r\nTransfer-Encoding: \r\n chunked\r\n", 400),
        ("Host: a\r\n b\r\n", 400),
        // What frames the message must make sense before it goes on.
        ("Content-Length:\r\n 5\r\n", 400),
        ("Transfer-Encoding: gzip,\r\n chunked\r\n", 400),
    ] {
        assert_eq!(passed(&format!("GET / HTTP/1.1\r\n{fields}\r\n"), FOLDS), Err(status), "{fields:?}");
    }
}

#[test]
fn a_line_too_long_is_that_first_however_it_ends() {
    let rules = Rules::new(40, 5, 30).under(FOLDS);
    for end in ["\n", "\r\n", "\0\r\n", ""] {
        let text = format!("GET / HTTP/1.1\r\nX: a\r\n b\r\nY: {}{end}", "c".repeat(40));
        for step in [1, 7, text.len()] {
            assert_eq!(
                pass(text.as_bytes().chunks(step), rules).end,
                End::Refused(431),
                "{text:?} by {step}"
            );
        }
    }
}

#[test]
fn the_longest_head_may_be_mended_however_it_arrives() {
    // All but the blank line has 384 KiB.
    let folded = format!("X: a\r\n {}\r\n", "b".repeat(8181));
    let rest = 384 * 1024 - 16 - 48 * folded.len();
    let last = format!("Y:{}\r\n", "c".repeat(rest - 4));
    let head = format!("GET / HTTP/1.1\r\n{}{last}\r\n", folded.repeat(48));
    assert_eq!(head.len(), 384 * 1024 + 2);
    let (most, line_feed) = head.as_bytes().split_at(head.len() - 1);
    let whole = pass([head.as_bytes()], Rules::with(FOLDS));
    assert!(whole.bytes.ends_with(b"c\r\n\r\n"), "{:?}", whole.end);
    assert_eq!(pass([most, line_feed], Rules::with(FOLDS)), whole);
}

#[test]
fn a_line_of_white_space_does_not_become_the_end_of_the_head() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for blank in [" ", "\t", " \t "] {
        let text = format!("GET /a HTTP/1.1\r\nA : b\r\n{blank}\r\n{smuggled}");
        assert_eq!(passed(&text, SPACES), Err(400), "{blank:?}");
        assert_eq!(statuses(&answers(&text, SPACES)), [400], "{blank:?}");
        let both = Grammar { strip_header_spaces: true, ..FOLDS };
        assert_eq!(passed(&text, both), Err(400), "{blank:?}");
        let first = format!("GET /a HTTP/1.1\r\n{blank}\r\nA : b\r\n{smuggled}");
        assert_eq!(passed(&first, both), Err(400), "{blank:?}");
    }
}

#[test]
fn a_method_without_end_is_a_line_that_is_too_long() {
    let rules = Rules::new(40, 3, 30).under(METHODS);
    for end in ["", "\0", " / HTTP/1.1\r\n\r\n"] {
        let text = "a".repeat(60) + end;
        for step in [1, 7, text.len()] {
            let passage = pass(text.as_bytes().chunks(step), rules);
            assert_eq!(passage.end, End::Refused(414), "{text:?} by {step}");
        }
    }
    assert_eq!(pass([b"aaa\0".as_slice()], rules).end, End::Refused(400));
}

#[test]
fn a_folded_field_has_the_limit_of_one_field() {
    let folded = |count: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a\r\n b".repeat(count));
    // Each repetition has five bytes, and the first line's beginning and the last line's CRLF five more.
    assert!(passed(&folded(1637), FOLDS).is_ok());
    assert_eq!(passed(&folded(1638), FOLDS), Err(431));
    let endless = format!("GET / HTTP/1.1\r\nX: a\r\n{}", " b".repeat(5000));
    assert_eq!(passed(&endless, FOLDS), Err(431));
    let many = format!("GET / HTTP/1.1\r\nX: a\r\n b\r\n{}\r\n", "Y: c\r\n".repeat(100));
    assert_eq!(passed(&many, FOLDS), Err(431));
    let last = format!("GET / HTTP/1.1\r\n{}X: a\r\n b\r\n c\r\n\r\n", "Y: c\r\n".repeat(99));
    assert!(passed(&last, FOLDS).is_ok(), "a line that goes on is no further field");
    assert_eq!(passed(&last, NONE), Err(431));
    let far =
        format!("GET / HTTP/1.1\r\nX: a\r\n b\r\n{}", format!("Y: {}\r\n", "c".repeat(8000)).repeat(60));
    assert_eq!(passed(&far, FOLDS), Err(431));
}

#[test]
fn spaces_before_a_colon_are_dropped() {
    let head = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n");
    let sent = head("A: b\r\nX : a : b\r\nHost\t : c\r\nContent-Length : 0\r\n");
    let stripped = head("A: b\r\nX: a : b\r\nHost: c\r\nContent-Length: 0\r\n");
    assert_eq!(passed(&sent, SPACES), Ok(stripped));
    assert_eq!(passed(&sent, NONE), Err(400));
    for fields in [
        "X y: a\r\n",
        " X : a\r\n",
        " : a\r\n",
        "X : a\r\n b\r\n",
        "X\r\n",
        "X \r\n",
        "Host : a\r\nHost: b\r\n",
    ] {
        assert_eq!(passed(&head(fields), SPACES), Err(400), "{fields:?}");
    }
    let both = Grammar { strip_header_spaces: true, ..FOLDS };
    assert_eq!(passed(&head("X : a\r\n b\r\n"), both), Ok(head("X: a b\r\n")));
}

#[test]
fn any_token_may_be_a_method() {
    for method in ["get", "G", "a#b", "GET-THIS-THING-THAT-IS-VERY-LONG", &"m".repeat(4000)] {
        let text = format!("{method} /m HTTP/1.1\r\n\r\n");
        assert_eq!(passed(&text, METHODS), Ok(text.clone()));
        assert_eq!(passed(&text, NONE), Err(400));
        assert!(answers(&text, METHODS).contains(&format!("[{method} /m ]")), "{method}");
    }
    for line in [
        " / HTTP/1.1",
        "G(T / HTTP/1.1",
        "g\u{e9}t / HTTP/1.1",
        "get\t/ HTTP/1.1",
        "options* HTTP/1.1",
        "options * HTTP/1.1",
    ] {
        assert_eq!(passed(&format!("{line}\r\n\r\n"), METHODS), Err(400), "{line}");
    }
    assert_eq!(passed(&format!("{} / HTTP/1.1\r\n\r\n", "m".repeat(4085)), METHODS), Err(414));
}

#[test]
fn methods_become_upper_case_if_lower_case_is_permitted() {
    let fold = Grammar { casefold_http_method: true, ..METHODS };
    assert_eq!(
        passed("\r\nget /a HTTP/1.1\r\na: b\r\n\r\n", fold),
        Ok("\r\nGET /a HTTP/1.1\r\na: b\r\n\r\n".into())
    );
    assert_eq!(passed("options * HTTP/1.1\r\n\r\n", fold), Ok("OPTIONS * HTTP/1.1\r\n\r\n".into()));
    let after_connect =
        pass([b"connect a:1 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n".as_slice()], Rules::with(fold));
    assert_eq!((after_connect.told.len(), after_connect.end), (1, End::Surplus));
    let alone = Grammar { casefold_http_method: true, ..NONE };
    assert_eq!(passed("get / HTTP/1.1\r\n\r\n", alone), Err(400));
    assert!(answers("get /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", fold).contains("[GET /a ]"));
}

#[test]
fn any_two_digits_may_be_a_version() {
    for (version, served) in [("0.9", "1.0"), ("2.0", "1.1"), ("3.7", "1.1"), ("1.4", "1.1"), ("0.0", "1.0")]
    {
        let head = |version: &str| format!("GET / HTTP/{version}\r\nA: b\r\n\r\n");
        assert_eq!(passed(&head(version), VERSIONS), Ok(head(served)));
        assert_eq!(passed(&head(version), NONE).is_err(), !version.starts_with('1'), "{version}");
        assert_eq!(statuses(&answers(&head(version), VERSIONS)), [200]);
    }
    for line in [
        "GET / HTTP/10.0",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / http/2.0",
        "GET / HTTP/a.b",
        "GET /",
        "GET / HTTP/2.0 ",
    ] {
        assert_eq!(passed(&format!("{line}\r\n\r\n"), VERSIONS), Err(400), "{line}");
    }
    // The rules of HTTP/1.0 hold below it too.
    assert_eq!(passed("POST / HTTP/0.9\r\nTransfer-Encoding: chunked\r\n\r\n", VERSIONS), Err(400));
    assert_eq!(passed("PRI * HTTP/2.0\r\n\r\n", VERSIONS), Err(400));
}

#[test]
fn a_host_may_be_required() {
    for (text, good) in [
        ("GET / HTTP/1.1\r\n\r\n", false),
        ("GET / HTTP/1.2\r\nX-Host: a\r\n\r\n", false),
        ("GET http://a/ HTTP/1.1\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", true),
        ("GET / HTTP/1.0\r\n\r\n", true),
    ] {
        assert_eq!(passed(text, HOST).is_ok(), good, "{text:?}");
        assert!(passed(text, NONE).is_ok());
    }
}

#[test]
fn repaired_requests_stay_in_their_pipeline() {
    let all = Grammar { strip_header_spaces: true, permit_obsolete_folding: true, ..METHODS };
    let text = "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length : 3\r\nX: a\r\n b\r\n\r\nabc\
                get /3#f HTTP/1.1\r\nX : y\r\n\r\nGET /4 HTTP/1.1\r\n\r\nGET /5 HTTP/1.1\r\nX y: z\r\n\r\n\
                GET /canary HTTP/1.1\r\n\r\n";
    let received = answers(text, all);
    assert_eq!(statuses(&received), [200, 200, 200, 200, 400], "{received}");
    for part in ["[GET /1 ]", "[POST /2 abc]", "[get /3#f ]", "[GET /4 ]"] {
        assert!(received.contains(part), "{part}: {received}");
    }
}
