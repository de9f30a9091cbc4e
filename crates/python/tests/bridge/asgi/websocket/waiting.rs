//! A side that is slow holds up the other, and several may wait for messages.

use super::accepting;
use crate::asgi::client::{Talk, close, handshake};
use crate::asgi::run;

#[test]
fn send_waits_for_a_client_that_is_behind() {
    let code = accepting(
        "
for number in range(4):
    await send({'type': 'websocket.send', 'bytes': bytes(300_000)})
    say(number)",
    );
    run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        for number in ["0", "1", "2", "3"] {
            site.settle().await;
            assert_eq!(site.unheard(), Vec::<String>::new());
            talk.next().await;
            assert_eq!(site.heard().await, number);
        }
        assert_eq!(talk.next().await, close(1000, ""));
    });
}

#[test]
fn a_send_that_waits_is_told_of_the_end() {
    let code = accepting(
        "
try:
    await send({'type': 'websocket.send', 'bytes': bytes(300_000)})
except OSError as error:
    say(str(error))",
    );
    run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        site.settle().await;
        talk.end(1000, "");
        assert_eq!(site.heard().await, "'websocket.send was sent after the client had disconnected'");
    });
}

#[test]
fn a_client_is_not_read_ahead_of_its_application() {
    let code = accepting(
        "
await go.wait()
while (message := await receive())['type'] == 'websocket.receive':
    say(len(message.get('bytes') or message['text']))",
    );
    run(&format!("go = asyncio.Event()\n{code}"), |site| async move {
        for (message, most) in [(vec![0; 40_000], 8), (vec![0; 1], 256), (vec![0; 1_000_000], 1)] {
            site.eval("go.clear()");
            let length = message.len();
            let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
            let mut given = 0;
            while talk.has_room() {
                talk.binary(message.clone());
                given += 1;
            }
            assert!((1..=most).contains(&given), "{given} messages of {length} bytes");
            site.eval("go.set()");
            talk.room().await;
            for _ in 0..given {
                assert_eq!(site.heard().await, length.to_string());
            }
            talk.end(1000, "");
        }
    });
}

#[test]
fn who_waits_for_room_goes_on_when_the_application_has_ended() {
    let code = accepting("await go.wait()");
    run(&format!("go = asyncio.Event()\n{code}"), |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        talk.binary(vec![0; 300_000]);
        assert!(!talk.has_room());
        site.eval("go.set()");
        talk.room().await;
        assert_eq!(talk.next().await, close(1000, ""));
    });
}

#[test]
fn tasks_that_receive_at_the_same_time_get_a_message_each_and_all_hear_the_end() {
    let code = accepting(
        "
async def listen():
    while (message := await receive())['type'] == 'websocket.receive':
        say(message['text'])
    say('ends')
await asyncio.gather(listen(), listen(), asyncio.shield(listen()))",
    );
    run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        site.settle().await;
        for word in ["one", "two"] {
            talk.text(word);
        }
        talk.text("three");
        let mut heard = [site.heard().await, site.heard().await, site.heard().await];
        heard.sort();
        assert_eq!(heard, ["'one'", "'three'", "'two'"]);
        talk.end(1000, "");
        for _ in 0..3 {
            assert_eq!(site.heard().await, "'ends'");
        }
    });
}

#[test]
fn receives_that_are_given_up_lose_no_message() {
    let code = accepting(
        "
for _ in range(50):
    try:
        await asyncio.wait_for(receive(), 0.0001)
    except asyncio.TimeoutError:
        pass
say('waits')
say(await receive())
task = asyncio.create_task(receive())
await asyncio.sleep(0)
await asyncio.sleep(0)
task.cancel()
say('waits')
say(await receive())",
    );
    run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        for word in ["one", "two"] {
            assert_eq!(site.heard().await, "'waits'");
            site.settle().await;
            talk.text(word);
            assert_eq!(site.heard().await, format!("{{'type': 'websocket.receive', 'text': '{word}'}}"));
        }
    });
}
