//! The answer to a handshake: consent, or a refusal.

use crate::asgi::client::{handshake, whole};
use crate::asgi::run;

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
            assert_eq!(whole(response), "");
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
        assert_eq!(whole(response), "who are you?");
        assert_eq!(site.heard().await, "'declined'");
    });
}
