//! A WebSocket from `websocket.connect` to `websocket.disconnect`: messages both ways, and what is refused.

use ferricorn_protocol::{Message, Outgoing};

use super::client::{Talk, close, handshake, text};
use super::run;

/// An application that accepts, and then does this.
fn accepting(then: &str) -> String {
    format!(
        "
async def app(scope, receive, send):
    assert await receive() == {{'type': 'websocket.connect'}}
    await send({{'type': 'websocket.accept'}})
    {}
",
        then.trim().replace('\n', "\n    ")
    )
}

/// What comes of sending these one after the other: `sent`, or the error.
fn outcomes(messages: &[&str]) -> Vec<String> {
    let code = format!(
        "
accept = {{'type': 'websocket.accept'}}
def deny(status=403, **more):
    return {{'type': 'websocket.http.response.start', 'status': status, 'headers': [], **more}}
def reason(data=b'', more=False):
    return {{'type': 'websocket.http.response.body', 'body': data, 'more_body': more}}
def words(**words):
    return {{'type': 'websocket.send', **words}}
def end(**more):
    return {{'type': 'websocket.close', **more}}
async def app(scope, receive, send):
    await receive()
    for message in [{}]:
        try:
            await send(message)
        except Exception as error:
            say(f'{{type(error).__name__}}: {{error}}')
        else:
            say('sent')
",
        messages.join(", ")
    );
    let ended = run(&code, |site| async move {
        let answer = site.answer(handshake("/", &["chat"]));
        site.settle().await;
        drop(answer);
    });
    let strip = |word: &String| word[1..word.len() - 1].replace("\\'", "'");
    let outcomes: Vec<_> = ended.unheard().iter().map(strip).collect();
    assert_eq!(outcomes.len(), messages.len());
    outcomes
}

#[test]
fn messages_of_both_kinds_go_both_ways_in_order() {
    let code = accepting(
        "
while (message := await receive())['type'] == 'websocket.receive':
    say(message)
    message['type'] = 'websocket.send'
    try:
        await send(message)
    except OSError:
        say('the client has left')
say(message)
say(await receive())",
    );
    run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        talk.text("Grüße 😀");
        talk.binary(&b"\x00\xff"[..]);
        talk.text("");
        talk.binary(&b""[..]);
        assert_eq!(site.heard().await, "{'type': 'websocket.receive', 'text': 'Grüße 😀'}");
        assert_eq!(site.heard().await, r"{'type': 'websocket.receive', 'bytes': b'\x00\xff'}");
        assert_eq!(site.heard().await, "{'type': 'websocket.receive', 'text': ''}");
        assert_eq!(site.heard().await, "{'type': 'websocket.receive', 'bytes': b''}");
        assert_eq!(talk.next().await, text("Grüße 😀"));
        assert_eq!(talk.next().await, Outgoing::Message(Message::Binary((&b"\x00\xff"[..]).into())));
        assert_eq!(talk.next().await, text(""));
        assert_eq!(talk.next().await, Outgoing::Message(Message::Binary("".into())));
        talk.text("last");
        talk.end(1001, "away");
        let end = "{'type': 'websocket.disconnect', 'code': 1001, 'reason': 'away'}";
        // What came before the end is not lost.
        assert_eq!(site.heard().await, "{'type': 'websocket.receive', 'text': 'last'}");
        assert_eq!(site.heard().await, "'the client has left'");
        assert_eq!(site.heard().await, end);
        assert_eq!(site.heard().await, end);
    });
}

#[test]
fn the_application_waits_for_what_comes_later() {
    let code = accepting(
        "
say(await receive())
say(await receive())",
    );
    run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        site.settle().await;
        assert_eq!(site.unheard(), Vec::<String>::new());
        talk.text("now");
        assert_eq!(site.heard().await, "{'type': 'websocket.receive', 'text': 'now'}");
        talk.end(1005, "");
        assert_eq!(site.heard().await, "{'type': 'websocket.disconnect', 'code': 1005, 'reason': ''}");
    });
}

#[test]
fn consent_carries_the_subprotocol_and_the_headers() {
    for (message, headers) in [
        ("", vec![]),
        ("'subprotocol': None, 'headers': None", vec![]),
        ("'subprotocol': 'chat'", vec!["sec-websocket-protocol: chat"]),
        ("'headers': [(b'X-A', b'1'), [b'x-a', b'2']]", vec!["x-a: 1", "x-a: 2"]),
        (
            "'subprotocol': 'super.chat', 'headers': ((b'set-cookie', b'a=1'),)",
            vec!["set-cookie: a=1", "sec-websocket-protocol: super.chat"],
        ),
    ] {
        let code = format!(
            "
async def app(scope, receive, send):
    await send({{'type': 'websocket.accept', {message}}})
    say(await receive())
    await receive()
"
        );
        run(&code, |site| async move {
            let response = site.respond(handshake("/", &["chat", "super.chat"])).await;
            assert_eq!(response.head.status, 101);
            let fields = response.head.headers.iter();
            let fields: Vec<_> =
                fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            assert_eq!(fields, headers);
            // It may be told of the handshake after it has accepted.
            assert_eq!(site.heard().await, "{'type': 'websocket.connect'}");
        });
    }
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
        let outcomes = outcomes(messages);
        assert_eq!(*outcomes.last().unwrap(), format!("RuntimeError: {name} was sent out of order: {why}"));
        assert!(outcomes[..outcomes.len() - 1].iter().all(|outcome| outcome == "sent"), "{messages:?}");
    }
}

#[test]
fn a_refusal_is_a_403_and_its_code_is_not_looked_at() {
    for more in ["", "'code': 1008, 'reason': 'no'", "'code': 'x', 'reason': ['no']"] {
        let code = format!(
            "
async def app(scope, receive, send):
    await receive()
    await send({{'type': 'websocket.close', {more}}})
    say((await receive())['code'])
    for _ in range(5):
        await asyncio.sleep(0)
    say('cleaned up')
"
        );
        let ended = run(&code, |site| async move {
            let response = site.respond(handshake("/", &[])).await;
            assert_eq!(response.head.status, 403);
            assert_eq!(super::client::whole(response), "");
            assert_eq!(site.heard().await, "1006");
            // The client has not left, and nobody is in a hurry.
            assert_eq!(site.heard().await, "'cleaned up'");
        });
        assert_eq!(ended.logged("ERROR"), [""; 0]);
    }
}

#[test]
fn a_refusal_may_be_a_response_of_its_own() {
    let code = "
async def app(scope, receive, send):
    await receive()
    await send({'type': 'websocket.http.response.start', 'status': 401, 'headers': [(b'WWW-Authenticate', b'Basic')]})
    await send({'type': 'websocket.http.response.body', 'body': b'who ', 'more_body': True})
    await send({'type': 'websocket.http.response.body', 'body': bytearray(b'are you?')})
    say('declined')
";
    run(code, |site| async move {
        let response = site.respond(handshake("/", &[])).await;
        assert_eq!(response.head.status, 401);
        assert_eq!(response.head.headers["www-authenticate"], "Basic");
        assert_eq!(super::client::whole(response), "who are you?");
        assert_eq!(site.heard().await, "'declined'");
    });
}

#[test]
fn the_applications_close_reaches_the_client_after_what_was_sent_before() {
    let code = accepting(
        "
await send({'type': 'websocket.send', 'text': 'bye'})
await send({'type': 'websocket.close', 'code': 4000, 'reason': 'ü' * 61})
say(await receive())",
    );
    run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        assert_eq!(talk.next().await, text("bye"));
        assert_eq!(talk.next().await, close(4000, &"ü".repeat(61)));
        talk.end(4000, "as you wish");
        let end = "{'type': 'websocket.disconnect', 'code': 4000, 'reason': 'as you wish'}";
        assert_eq!(site.heard().await, end);
    });
}
