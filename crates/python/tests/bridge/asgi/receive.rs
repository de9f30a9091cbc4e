//! `receive()` of an HTTP request: the body as it comes, and the client's leaving.

use ferricorn_protocol::BodyError;

use super::client::{Download, Upload, whole};
use super::run;
use crate::support::{get, with_headers};

/// Says each message until the client has left, then answers if it can.
const LISTENER: &str = "
async def app(scope, receive, send):
    while True:
        message = await receive()
        say(message)
        if message['type'] == 'http.disconnect':
            break
        if not message['more_body']:
            await respond(send)
";

const EMPTY: &str = "{'type': 'http.request', 'body': b'', 'more_body': False}";
const DISCONNECT: &str = "{'type': 'http.disconnect'}";

fn request(body: &str, more: &str) -> String {
    format!("{{'type': 'http.request', 'body': b'{body}', 'more_body': {more}}}")
}

#[test]
fn no_body_is_an_empty_one_and_after_the_response_the_client_is_gone() {
    run(LISTENER, |site| async move {
        site.respond(get("/")).await;
        assert_eq!(site.heard().await, EMPTY);
        assert_eq!(site.heard().await, DISCONNECT);
    });
}

#[test]
fn a_body_that_is_there_comes_at_once() {
    run(LISTENER, |site| async move {
        let upload = Upload::default();
        upload.last(b"all of it");
        site.respond(upload.request()).await;
        assert_eq!(site.heard().await, request("all of it", "False"));
        assert_eq!(site.heard().await, DISCONNECT);
    });
}

#[test]
fn pieces_are_handed_on_as_they_come() {
    run(LISTENER, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(upload.request());
        site.settle().await;
        assert_eq!(site.unheard(), Vec::<String>::new());
        upload.piece(b"one");
        assert_eq!(site.heard().await, request("one", "True"));
        upload.piece(b"two");
        assert_eq!(site.heard().await, request("two", "True"));
        upload.last(b"three");
        assert_eq!(site.heard().await, request("three", "False"));
        assert_eq!(answer.await.unwrap().head.status, 200);
        assert_eq!(site.heard().await, DISCONNECT);
        assert!(upload.is_let_go());
    });
}

#[test]
fn a_chunked_body_ends_with_an_empty_message() {
    run(LISTENER, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(upload.request());
        upload.piece(b"one");
        assert_eq!(site.heard().await, request("one", "True"));
        upload.piece(b"");
        site.settle().await;
        assert_eq!(site.unheard(), Vec::<String>::new());
        upload.end();
        assert_eq!(site.heard().await, EMPTY);
        answer.await.unwrap();
    });
}

#[test]
fn a_client_that_waits_for_100_continue_is_not_read_before_the_app_asks() {
    let code = "
asked = asyncio.Event()
async def app(scope, receive, send):
    say('begun')
    await asked.wait()
    say(await receive())
    await respond(send)
";
    run(code, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(with_headers(upload.request(), &[("expect", b"100-continue")]));
        assert_eq!(site.heard().await, "'begun'");
        assert!(!upload.is_asked_for());
        site.eval("asked.set()");
        upload.asked_for().await;
        upload.last(b"sent at last");
        assert_eq!(site.heard().await, request("sent at last", "False"));
        answer.await.unwrap();
    });
}

#[test]
fn a_body_that_breaks_is_a_client_that_left_and_is_answered_by_the_server() {
    for (error, status) in
        [(BodyError::TooLarge, 413), (BodyError::Timeout, 408), (BodyError::Broken("cut".to_owned()), 400)]
    {
        run(LISTENER, move |site| async move {
            let upload = Upload::default();
            let answer = site.answer(upload.request());
            upload.piece(b"one");
            assert_eq!(site.heard().await, request("one", "True"));
            let told = format!("{error}.\n");
            upload.fail(error);
            assert_eq!(site.heard().await, DISCONNECT);
            let response = answer.await.unwrap();
            assert_eq!(response.head.status, status);
            assert_eq!(whole(response), told);
        });
    }
}

#[test]
fn a_body_that_breaks_under_a_response_ends_that_too() {
    let code = "
async def app(scope, receive, send):
    await send(start())
    await send(body(b'begun', True))
    say(await receive())
    try:
        await send(body(b'more'))
    except OSError as error:
        say(str(error))
";
    run(code, |site| async move {
        let upload = Upload::default();
        let mut download = Download::of(site.respond(upload.request()).await);
        assert_eq!(download.piece().await, "begun");
        upload.fail(BodyError::Broken("cut".to_owned()));
        assert_eq!(download.failure().await, "the request body is broken: cut");
        assert_eq!(site.heard().await, DISCONNECT);
        assert_eq!(site.heard().await, "'http.response.body was sent after the client had disconnected'");
    });
}

#[test]
fn a_client_that_leaves_is_told_as_often_as_one_asks() {
    let code = "
async def app(scope, receive, send):
    say('begun')
    try:
        while True:
            say(await receive())
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        say('cancelled')
        say(await receive())
        say(await receive())
        raise
";
    run(code, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(upload.request());
        assert_eq!(site.heard().await, "'begun'");
        drop(answer);
        loop {
            match site.heard().await.as_str() {
                "'cancelled'" => break,
                heard => assert_eq!(heard, DISCONNECT),
            }
        }
        assert_eq!(site.heard().await, DISCONNECT);
        assert_eq!(site.heard().await, DISCONNECT);
        assert!(upload.is_let_go());
    });
}

#[test]
fn pieces_that_had_come_before_the_client_left_are_not_made_up() {
    let code = "
async def app(scope, receive, send):
    say(await receive())
    say(await receive())
";
    run(code, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(upload.request());
        upload.piece(b"one");
        assert_eq!(site.heard().await, request("one", "True"));
        upload.fail(BodyError::Broken("gone".to_owned()));
        drop(answer);
        assert_eq!(site.heard().await, DISCONNECT);
    });
}
