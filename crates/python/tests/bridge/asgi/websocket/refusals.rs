//! Messages that are out of order or wrong, and in which words they are refused.

use crate::asgi::client::handshake;
use crate::asgi::sending::{self, assert_last_untimely};

/// What the messages here are made of.
const WORDS: &str = "
accept = {'type': 'websocket.accept'}
def deny(status=403, **more):
    return {'type': 'websocket.http.response.start', 'status': status, 'headers': [], **more}
def reason(data=b'', more=False):
    return {'type': 'websocket.http.response.body', 'body': data, 'more_body': more}
def words(**words):
    return {'type': 'websocket.send', **words}
def end(**more):
    return {'type': 'websocket.close', **more}
";

/// What comes of sending these one after the other: `sent`, or the error.
fn outcomes(messages: &[&str]) -> Vec<String> {
    sending::outcomes(handshake("/", &["chat"]), WORDS, messages)
}

#[test]
fn what_a_consent_is_wrong_in_is_named() {
    for (more, error) in [
        (
            "'subprotocol': 'other'",
            "ValueError: websocket.accept: the client has not offered the subprotocol 'other'",
        ),
        ("'subprotocol': b'chat'", "TypeError: websocket.accept: the subprotocol must be a str"),
        ("'headers': [('a', b'')]", "TypeError: websocket.accept: a header name must be bytes, not str: 'a'"),
        ("'headers': [(b'a b', b'')]", "ValueError: websocket.accept: the header name b'a b' is not a token"),
        (
            "'headers': [(b'Sec-WebSocket-Protocol', b'chat')]",
            "ValueError: websocket.accept: the headers must not name sec-websocket-protocol; 'subprotocol' is for that",
        ),
    ] {
        let outcomes = outcomes(&[&format!("{{'type': 'websocket.accept', {more}}}"), "accept"]);
        assert_eq!([outcomes[0].replace('"', "'").as_str(), &outcomes[1]], [error, "sent"]);
    }
}

#[test]
fn what_a_message_is_wrong_in_is_named() {
    for (message, error) in [
        ("words()", "ValueError: websocket.send: it has neither 'text' nor 'bytes'"),
        ("words(text=None, bytes=None)", "ValueError: websocket.send: it has neither 'text' nor 'bytes'"),
        ("words(text='a', bytes=b'a')", "ValueError: websocket.send: it has both 'text' and 'bytes'"),
        ("words(text=b'a')", "TypeError: websocket.send: 'text' must be a str, not bytes"),
        ("words(bytes='a')", "TypeError: websocket.send: bytes were expected, not str"),
        ("end(code='1000')", "TypeError: websocket.close: 'str' object cannot be interpreted as an integer"),
        ("end(reason='x' * 124)", "ValueError: websocket.close: the reason is longer than 123 bytes"),
        ("end(reason='ü' * 62)", "ValueError: websocket.close: the reason is longer than 123 bytes"),
        (
            "{'type': 'http.response.start'}",
            "ValueError: 'http.response.start' is not the type of a message of a WebSocket",
        ),
        ("{'type': None}", "TypeError: the 'type' of a message must be a str"),
        ("{}", "ValueError: a message without a 'type' was sent"),
    ] {
        // What is refused changes nothing.
        let outcomes = outcomes(&["accept", message, "end()"]);
        assert_eq!(
            [outcomes[0].as_str(), &outcomes[1].replace('"', "'"), &outcomes[2]],
            ["sent", error, "sent"]
        );
    }
    let half = &outcomes(&["accept", "words(text='\\ud800')"])[1];
    assert!(half.starts_with("ValueError: websocket.send: "), "{half}");
    let bytes = &outcomes(&["accept", "end(reason=b'x')"])[1];
    assert!(bytes.starts_with("TypeError: websocket.close: "), "{bytes}");
}

#[test]
fn codes_that_no_close_frame_may_have_are_refused() {
    for code in ["0", "999", "1004", "1005", "1006", "1015", "1016", "2999", "5000", "-1", "70000"] {
        let error = format!("ValueError: websocket.close: {code} is no code for a close frame");
        assert_eq!(outcomes(&["accept", &format!("end(code={code})")])[1], error);
    }
    for code in ["1000", "1001", "1003", "1007", "1008", "1011", "1012", "1013", "1014", "3000", "4999"] {
        assert_eq!(outcomes(&["accept", &format!("end(code={code})")])[1], "sent", "{code}");
    }
}

#[test]
fn messages_out_of_order_are_refused_by_name() {
    let over = "the WebSocket has been closed or declined";
    let answered = "the WebSocket has been accepted, closed or declined already";
    let bare = "no websocket.http.response.start was sent before it";
    for (messages, name, why) in [
        (&["words(text='a')"][..], "websocket.send", "the WebSocket has not been accepted"),
        (&["accept", "accept"], "websocket.accept", "the WebSocket has been accepted already"),
        (&["accept", "end()", "words(text='a')"], "websocket.send", over),
        (
            &["accept", "end()", "end()"],
            "websocket.close",
            "the WebSocket has been closed or declined already",
        ),
        (&["accept", "deny()"], "websocket.http.response.start", answered),
        (&["deny()", "deny()"], "websocket.http.response.start", answered),
        (&["deny()", "accept"], "websocket.accept", over),
        (&["deny()", "words(text='a')"], "websocket.send", over),
        (&["reason()"], "websocket.http.response.body", bare),
        (&["accept", "reason()"], "websocket.http.response.body", bare),
    ] {
        assert_last_untimely(&outcomes(messages), name, why);
    }
}
