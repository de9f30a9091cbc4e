//! Messages of an HTTP response that are out of order or wrong, and in which words they are refused.

use super::sending::{self, assert_last_untimely};
use crate::support::get;

/// What comes of sending these one after the other: `sent`, or the error.
fn outcomes(messages: &[&str]) -> Vec<String> {
    sending::outcomes(get("/"), "", messages)
}

/// What is wrong in this message, sent where it would be in order.
fn error_of(message: &str) -> String {
    let messages = match message {
        body if body.contains("response.body") => vec!["start()", message],
        trailers if trailers.contains("response.trailers") => {
            vec!["start(trailers=True)", "body()", message]
        }
        _ => vec![message],
    };
    outcomes(&messages).pop().unwrap()
}

const START: &str = "start()";
const BODY: &str = "body(b'x')";
const MORE: &str = "body(b'x', True)";
const TRAILERS: &str = "{'type': 'http.response.trailers', 'headers': []}";
const HINT: &str = "{'type': 'http.response.early_hint', 'links': [b'</a>']}";

#[test]
fn messages_in_order_are_taken() {
    for messages in [
        &[START, BODY][..],
        &[START, MORE, MORE, BODY],
        &[START, MORE, "{'type': 'http.response.body'}"],
        &[HINT, HINT, START, BODY],
        &["start(trailers=True)", BODY, TRAILERS],
        &["start(trailers=True)", MORE, BODY, TRAILERS],
        &[
            "start(trailers=True)",
            BODY,
            "{'type': 'http.response.trailers', 'more_trailers': True}",
            TRAILERS,
        ],
    ] {
        assert!(outcomes(messages).iter().all(|outcome| outcome == "sent"), "{messages:?}");
    }
}

#[test]
fn messages_out_of_order_are_refused_by_name() {
    let started = "the response has been started already";
    let fresh = "the response has not been started";
    let ended = "the response body has ended already";
    let untimely = "no trailers were announced, or the body has not ended";
    for (messages, name, why) in [
        (&[BODY][..], "http.response.body", fresh),
        (&[START, START], "http.response.start", started),
        (&[START, MORE, START], "http.response.start", started),
        (&[START, BODY, START], "http.response.start", started),
        (&[START, BODY, BODY], "http.response.body", ended),
        (&[START, MORE, BODY, MORE], "http.response.body", ended),
        (&[TRAILERS], "http.response.trailers", untimely),
        (&[START, BODY, TRAILERS], "http.response.trailers", untimely),
        (&["start(trailers=True)", TRAILERS], "http.response.trailers", untimely),
        (&["start(trailers=True)", MORE, TRAILERS], "http.response.trailers", untimely),
        (&["start(trailers=True)", BODY, TRAILERS, TRAILERS], "http.response.trailers", untimely),
        (&["start(trailers=True)", BODY, BODY], "http.response.body", ended),
        (&[START, HINT], "http.response.early_hint", started),
        (&[START, BODY, HINT], "http.response.early_hint", started),
    ] {
        assert_last_untimely(&outcomes(messages), name, why);
    }
}

#[test]
fn a_message_that_is_refused_changes_nothing() {
    let untimely = "no trailers were announced, or the body has not ended";
    for (messages, refused) in [
        (
            &[BODY, START, BODY][..],
            "RuntimeError: http.response.body was sent out of order: the response has not been started",
        ),
        (
            &["start(99)", START, BODY],
            "ValueError: http.response.start: the status 99 is not that of a final response",
        ),
        (
            &["{'type': 'http.response.body', 'body': 1}", START, BODY],
            "TypeError: http.response.body: bytes were expected, not int",
        ),
    ] {
        assert_eq!(outcomes(messages), [refused, "sent", "sent"]);
    }
    let refused = format!("RuntimeError: http.response.trailers was sent out of order: {untimely}");
    assert_eq!(outcomes(&[START, TRAILERS, BODY]), ["sent", &refused, "sent"]);
    assert_eq!(outcomes(&[START, MORE, TRAILERS, MORE, BODY]), ["sent", "sent", &refused, "sent", "sent"]);
}

#[test]
fn what_is_no_message_is_refused() {
    for (message, error) in [
        ("{}", "ValueError: a message without a \"type\" was sent"),
        ("{'type': 1}", "TypeError: the \"type\" of a message must be a str"),
        (
            "{'type': 'http.response'}",
            "ValueError: \"http.response\" is not the type of a message of an HTTP response",
        ),
        (
            "{'type': 'websocket.send'}",
            "ValueError: \"websocket.send\" is not the type of a message of an HTTP response",
        ),
    ] {
        assert_eq!(outcomes(&[message]), [error]);
    }
    for (message, kind) in [("None", "NoneType"), ("1", "int"), ("'x'", "str"), ("[]", "list")] {
        let error = format!("TypeError: send() takes a message, which is a dict, not {kind}");
        assert_eq!(outcomes(&[message]), [error]);
    }
}

#[test]
fn what_a_start_is_wrong_in_is_named() {
    for (message, error) in [
        ("{'type': 'http.response.start'}", "ValueError: http.response.start: it has no 'status'"),
        ("start(None)", "ValueError: http.response.start: it has no 'status'"),
        ("start('200')", "TypeError: http.response.start: 'str' object cannot be interpreted as an integer"),
        ("start(100)", "ValueError: http.response.start: the status 100 is not that of a final response"),
        ("start(199)", "ValueError: http.response.start: the status 199 is not that of a final response"),
        ("start(0)", "ValueError: http.response.start: the status 0 is not that of a final response"),
        ("start(1000)", "ValueError: http.response.start: the status 1000 is not that of a final response"),
        (
            "start(headers=[('a', 'b')])",
            "TypeError: http.response.start: a header name must be bytes, not str: 'a'",
        ),
        (
            "start(headers=[(b'a', 'b')])",
            "TypeError: http.response.start: a header value must be bytes, not str: 'b'",
        ),
        (
            "start(headers=[(b'a', 1)])",
            "TypeError: http.response.start: a header value must be bytes, not int: 1",
        ),
        (
            "start(headers=[(b'a',)])",
            "ValueError: http.response.start: a header must be (name, value), not (b'a',)",
        ),
        (
            "start(headers=[b'abc'])",
            "ValueError: http.response.start: a header must be (name, value), not b'abc'",
        ),
        (
            "start(headers=[(b'a b', b'')])",
            "ValueError: http.response.start: the header name b'a b' is not a token",
        ),
        (
            "start(headers=[(b'', b'')])",
            "ValueError: http.response.start: the header name b'' is not a token",
        ),
        ("start(headers=1)", "TypeError: http.response.start: 'int' object is not iterable"),
    ] {
        assert_eq!(error_of(message).replace("\\'", "'").replace('"', "'"), error, "{message}");
    }
    let split = error_of("start(headers=[(b'a', b'b\\r\\nc: d')])");
    assert!(split.contains("has a control character"), "{split}");
    let negative = error_of("start(-1)");
    assert!(negative.contains("http.response.start: "), "{negative}");
}

#[test]
fn what_the_other_messages_are_wrong_in_is_named() {
    for (message, error) in [
        (
            "{'type': 'http.response.body', 'body': 'text'}",
            "TypeError: http.response.body: bytes were expected, not str",
        ),
        (
            "{'type': 'http.response.body', 'body': [b'a']}",
            "TypeError: http.response.body: bytes were expected, not list",
        ),
        (
            "{'type': 'http.response.trailers', 'headers': [('a', b'')]}",
            "TypeError: http.response.trailers: a header name must be bytes, not str: 'a'",
        ),
        (
            "{'type': 'http.response.early_hint', 'links': ['text']}",
            "TypeError: http.response.early_hint: bytes were expected, not str",
        ),
        (
            "{'type': 'http.response.early_hint', 'links': [b'a\\r\\nb']}",
            "ValueError: http.response.early_hint: a link has a control character",
        ),
        (
            "{'type': 'http.response.early_hint', 'links': [b'a' * 17000]}",
            "ValueError: http.response.early_hint: it is longer than 16384 bytes",
        ),
        (
            "{'type': 'http.response.informational', 'status': 102}",
            "ValueError: http.response.informational: the only informational status that can be sent is 103",
        ),
        (
            "{'type': 'http.response.informational'}",
            "ValueError: http.response.informational: the only informational status that can be sent is 103",
        ),
    ] {
        assert_eq!(error_of(message), error, "{message}");
    }
}
