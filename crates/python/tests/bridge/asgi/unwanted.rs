//! What nobody wants any more is let go: the rest of bodies, and all of a request whose client has left.

use std::sync::Arc;
use std::time::Duration;

use ferricorn_python::asgi::Calling;

use super::client::{Download, Hinted, Upload};
use super::{run, run_with, settings};
use crate::support::get;

#[test]
fn nothing_is_kept_of_a_request_whose_client_left() {
    for sent in ["", "start()", "start(), body(b'one', True)", "start(), body(b'all')"] {
        let code = format!(
            "
async def app(scope, receive, send):
    for message in [{sent}]:
        await send(message)
    say('sent')
    await asyncio.sleep(0)
"
        );
        let (upload, hinted) = (Upload::default(), Arc::new(Hinted::default()));
        let (request, kept) = (upload.request(), hinted.clone());
        run(&code, |site| async move {
            let mut request = request;
            request.hints = Some(kept);
            let answer = site.answer(request);
            assert_eq!(site.heard().await, "'sent'");
            // What was sent has not been taken.
            drop(answer);
            site.settle().await;
        });
        assert_eq!((Arc::strong_count(&hinted), upload.is_let_go()), (1, true), "{sent}");
    }
}

#[test]
fn what_the_connection_wants_no_more_of_is_dropped_and_no_client_has_left() {
    let code = "
async def app(scope, receive, send):
    length = [] if scope['method'] == 'HEAD' else [(b'content-length', b'5')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': length})
    await send(body(b'hello', True))
    say('begun')
    await receive()
    await send(body(b'too much', True))
    await send(body())
    say(await receive())
";
    let mut settings = settings();
    settings.disconnect_grace = Duration::ZERO;
    let ended = run_with((settings, Calling::Single), code, |site| async move {
        for method in ["GET", "HEAD"] {
            let upload = Upload::default();
            let mut request = upload.request();
            request.head.method = method.parse().unwrap();
            let _connection = request.connection.clone();
            let response = site.respond(request).await;
            assert_eq!(site.heard().await, "'begun'");
            let mut download = Download::of(response);
            if method == "GET" {
                assert_eq!(download.piece().await, "hello");
            }
            drop(download);
            site.settle().await;
            upload.end();
            assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
        }
    });
    assert_eq!(ended.logged("ERROR"), [""; 0]);
}

/// A response that is complete for the connection, by an application that goes on.
const GOES_ON: &str = "
async def app(scope, receive, send):
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'5')]})
    await send(body(b'hello', True))
    say('begun')
    await receive()
    try:
        say(await receive())
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say('cancelled')
";

#[test]
fn an_application_that_goes_on_hears_when_its_connection_ends() {
    let mut settings = settings();
    settings.disconnect_grace = Duration::ZERO;
    run_with((settings, Calling::Single), GOES_ON, |site| async move {
        let request = get("/");
        let connection = request.connection.clone();
        let mut download = Download::of(site.respond(request).await);
        assert_eq!(site.heard().await, "'begun'");
        assert_eq!(download.piece().await, "hello");
        drop(download);
        site.settle().await;
        drop(connection);
        assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
        assert_eq!(site.heard().await, "'cancelled'");
    });
}

#[test]
fn only_so_many_calls_outlive_their_responses_on_one_connection() {
    let mut settings = settings();
    settings.disconnect_grace = Duration::ZERO;
    run_with((settings, Calling::Single), GOES_ON, |site| async move {
        let connection = get("/").connection;
        for number in 0..18 {
            let mut request = get("/");
            request.connection = connection.clone();
            let mut download = Download::of(site.respond(request).await);
            assert_eq!(site.heard().await, "'begun'");
            assert_eq!(download.piece().await, "hello");
            drop(download);
            if number >= 16 {
                assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
                assert_eq!(site.heard().await, "'cancelled'");
            }
        }
    });
}

#[test]
fn a_body_that_nobody_wants_and_that_never_ends_is_ended_with_its_connection() {
    let code = "
async def app(scope, receive, send):
    await send(start())
    try:
        while True:
            await send(body(b'x' * 65536, True))
    except (OSError, asyncio.CancelledError):
        say('ended')
";
    run(code, |site| async move {
        let mut request = get("/");
        request.head.method = http::Method::HEAD;
        let connection = request.connection.clone();
        drop(Download::of(site.respond(request).await));
        site.settle().await;
        drop(connection);
        assert_eq!(site.heard().await, "'ended'");
    });
}

#[test]
fn a_complete_response_lets_go_of_the_request_body() {
    let code = "
async def app(scope, receive, send):
    await respond(send)
    say('answered')
    await asyncio.Event().wait()
";
    run(code, |site| async move {
        let upload = Upload::default();
        site.respond(upload.request()).await;
        assert_eq!(site.heard().await, "'answered'");
        assert!(upload.is_let_go());
    });
}
