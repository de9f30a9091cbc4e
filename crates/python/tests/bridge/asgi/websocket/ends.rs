//! Ends that no close of the application brings about: it returns or fails, or its client leaves.

use super::accepting;
use crate::asgi::client::{Talk, close, handshake, text};
use crate::asgi::run;

#[test]
fn an_end_before_the_answer_is_a_fault() {
    let silent = "the ASGI application returned without accepting or closing the WebSocket";
    let half = "the ASGI application returned without completing its response";
    let deny = "await send({'type': 'websocket.http.response.start', 'status': 401, 'headers': []})";
    for (code, message) in [
        ("return".to_owned(), silent),
        ("raise ValueError('boom')".to_owned(), "ValueError: boom"),
        ("await receive(); await asyncio.sleep(0); raise ValueError('boom')".to_owned(), "ValueError: boom"),
        (deny.to_owned(), half),
        (format!("{deny}; raise ValueError('boom')"), "ValueError: boom"),
    ] {
        let code = format!("async def app(scope, receive, send):\n    {code}\n");
        let ended = run(&code, |site| async move {
            assert_eq!(site.fail(handshake("/", &[])).await.message, message);
        });
        assert_eq!(ended.logged("ERROR"), [""; 0]);
    }
}

#[test]
fn an_application_that_returns_closes_the_websocket() {
    let ended = run(&accepting("await send({'type': 'websocket.send', 'text': 'bye'})"), |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        assert_eq!(talk.next().await, text("bye"));
        assert_eq!(talk.next().await, close(1000, ""));
        // What the client says until it has heard of it is passed over.
        talk.text("too late");
        talk.end(1000, "");
    });
    assert_eq!(ended.log, Vec::<String>::new());
}

#[test]
fn an_application_that_fails_closes_it_with_1011_and_is_logged() {
    for wait in ["", "await receive(); "] {
        let ended = run(&accepting(&format!("{wait}raise ValueError('boom')")), |site| async move {
            let mut talk = Talk::of(site.respond(handshake("/chat?x", &[])).await);
            talk.text("go on");
            assert_eq!(talk.next().await, close(1011, ""));
        });
        let [told] = ended.logged("ERROR")[..] else { panic!("{:?}", ended.log) };
        assert!(told.starts_with("Error in the WebSocket /chat\nTraceback"), "{told}");
        assert!(told.ends_with("ValueError: boom"), "{told}");
    }
}

#[test]
fn an_exception_after_the_close_is_logged() {
    let code = accepting("await send({'type': 'websocket.close'}); raise ValueError('boom')");
    let ended = run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        assert_eq!(talk.next().await, close(1000, ""));
    });
    assert_eq!(ended.logged("ERROR").len(), 1, "{:?}", ended.log);
}

#[test]
fn system_exit_closes_it_and_ends_the_process() {
    run(&accepting("await receive(); raise SystemExit(9)"), |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        talk.text("exit");
        assert_eq!(talk.next().await, close(1011, ""));
        assert_eq!(site.heard().await, "leave 9");
    });
}

#[test]
fn a_client_that_leaves_the_handshake_ends_the_call() {
    let code = "
async def app(scope, receive, send):
    say(await receive())
    try:
        say(await receive())
        await asyncio.Event().wait()
    finally:
        try:
            await send({'type': 'websocket.accept'})
        except OSError as error:
            say(str(error))
";
    run(code, |site| async move {
        let answer = site.answer(handshake("/", &[]));
        assert_eq!(site.heard().await, "{'type': 'websocket.connect'}");
        site.settle().await;
        drop(answer);
        assert_eq!(site.heard().await, "{'type': 'websocket.disconnect', 'code': 1006, 'reason': ''}");
        assert_eq!(site.heard().await, "'websocket.accept was sent after the client had disconnected'");
    });
}

#[test]
fn every_message_after_the_end_is_refused_with_an_os_error() {
    let code = accepting(
        "
say(await receive())
for message in (dict(type='websocket.send', text='a'), dict(type='websocket.close'), dict(type='websocket.accept'),
                dict(type='websocket.http.response.start', status=403), dict(type='websocket.http.response.body')):
    try:
        await send(message)
    except OSError as error:
        say(f'{type(error).__name__}: {error}')",
    );
    run(&code, |site| async move {
        let mut talk = Talk::of(site.respond(handshake("/", &[])).await);
        talk.end(1000, "");
        assert_eq!(site.heard().await, "{'type': 'websocket.disconnect', 'code': 1000, 'reason': ''}");
        for name in ["send", "close", "accept", "http.response.start", "http.response.body"] {
            let error = format!("websocket.{name} was sent after the client had disconnected");
            assert_eq!(site.heard().await, format!("'ClientDisconnected: {error}'"));
        }
    });
}

#[test]
fn a_task_is_cancelled_if_its_client_vanished_and_not_if_it_said_goodbye() {
    let code = accepting(
        "
say((await receive())['code'])
try:
    for _ in range(20):
        await asyncio.sleep(0)
    say('cleaned up')
except asyncio.CancelledError:
    say('cancelled')",
    );
    run(&code, |site| async move {
        let mut polite = Talk::of(site.respond(handshake("/", &[])).await);
        polite.end(1001, "");
        assert_eq!(site.heard().await, "1001");
        assert_eq!(site.heard().await, "'cleaned up'");
        drop(Talk::of(site.respond(handshake("/", &[])).await));
        assert_eq!(site.heard().await, "1006");
        assert_eq!(site.heard().await, "'cancelled'");
    });
}
