//! Messages both ways, up to the close of either side.

use ferricorn_protocol::{Message, Outgoing};

use super::accepting;
use crate::asgi::client::{Talk, close, handshake, text};
use crate::asgi::run;

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
