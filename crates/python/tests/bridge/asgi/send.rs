//! `send()` of an HTTP response: what arrives of head, body, hints and trailers.

use std::sync::Arc;

use ferricorn_protocol::ResponseBody;
use http::Method;

use super::client::{Download, Hinted, whole};
use super::run;
use crate::support::get;

/// The headers of the response that starts so.
fn headers_of(start: &'static str) -> Vec<String> {
    let code = format!(
        "
async def app(scope, receive, send):
    await send({start})
    await send(body())
    say('done')
"
    );
    run(&code, |site| async move {
        let response = site.respond(get("/")).await;
        for (name, value) in &response.head.headers {
            super::Words::say(&site.words, format!("{name}: {}", value.as_bytes().escape_ascii()));
        }
    })
    .unheard()
    .split_off(1)
}

#[test]
fn headers_of_every_form_arrive() {
    for headers in [
        "[(b'X-A', b'1'), (b'x-b', b' 2 '), (b'x-a', b'3')]",
        "[[b'X-A', b'1'], [b'x-b', b'2'], [b'x-a', b'3']]",
        "((b'x-a', b'1'), [b'x-b', b'2'], (b'x-a', b'3'))",
        "iter([(b'x-a', b'1'), (b'x-b', b'2'), (b'x-a', b'3')])",
        "[(bytearray(b'x-a'), bytearray(b'1')), (b'x-b', bytearray(b'2')), (b'x-a', b'3')]",
        "(pair for pair in [(b'x-a', b'1'), iter([b'x-b', b'2']), (b'x-a', b'3')])",
    ] {
        let start = format!("start(headers={headers})").leak();
        assert_eq!(headers_of(start), ["x-a: 1", "x-a: 3", "x-b: 2"], "{headers}");
    }
    assert_eq!(headers_of("start(headers=None)"), Vec::<String>::new());
    assert_eq!(headers_of("{'type': 'http.response.start', 'status': 200}"), Vec::<String>::new());
    assert_eq!(headers_of("start(headers=[(b'x', b'\\xfc\\xff')])"), [r"x: \xfc\xff"]);
}

#[test]
fn what_belongs_to_the_server_is_dropped() {
    let start = "start(headers=[(b'Connection', b'keep-alive'), (b'Date', b'x'), (b'Server', b'x'), \
                 (b'Transfer-Encoding', b'chunked'), (b'Trailer', b'x'), (b'x-a', b'1')])";
    assert_eq!(headers_of(start), ["x-a: 1"]);
}

#[test]
fn bodies_of_every_type_arrive_as_they_were() {
    for (sent, arrived) in [
        ("b'bytes'", "bytes"),
        ("bytearray(b'array')", "array"),
        ("memoryview(b'a view')[2:]", "view"),
        ("memoryview(b'abcdef')[::2]", "ace"),
        ("type('Own', (bytes,), {})(b'own')", "own"),
        ("None", ""),
        ("b''", ""),
    ] {
        let code = format!(
            "
async def app(scope, receive, send):
    await send(start())
    await send({{'type': 'http.response.body', 'body': {sent}}})
"
        );
        run(&code, move |site| async move {
            let response = site.respond(get("/")).await;
            assert_eq!(matches!(response.body, ResponseBody::Empty), arrived.is_empty(), "{sent}");
            assert_eq!(whole(response), arrived, "{sent}");
        });
    }
}

#[test]
fn a_buffer_may_be_used_again_once_it_was_sent() {
    let code = "
async def app(scope, receive, send):
    await send(start())
    for view in bytearray, memoryview:
        for size in 5, 40_000:
            data = bytearray(b'a' * size)
            await send(body(view(data), True))
            data[:] = b'b' * size
    await send(body())
";
    run(code, |site| async move {
        let mut download = Download::of(site.respond(get("/")).await);
        let (all, _) = download.rest().await;
        assert_eq!(all, b"a".repeat(2 * 40_005));
    });
}

#[test]
fn every_status_of_a_final_response_can_be_sent() {
    for (status, number) in
        [("200", 200), ("299", 299), ("599", 599), ("999", 999), ("HTTPStatus.NOT_FOUND", 404)]
    {
        let code = format!(
            "
from http import HTTPStatus
async def app(scope, receive, send):
    await send(start({status}))
    await send(body())
"
        );
        run(&code, move |site| async move {
            let head = site.respond(get("/")).await.head;
            assert_eq!((head.status.as_u16(), head.reason), (number, None));
        });
    }
}

#[test]
fn early_hints_of_both_names_leave_before_the_response() {
    let code = "
async def app(scope, receive, send):
    await send({'type': 'http.response.early_hint', 'links': [b'</a.css>; rel=preload', bytearray(b'</b.js>')]})
    await send({'type': 'http.response.informational', 'status': 103,
                'headers': [(b'Link', b'</c.png>'), (b'content-length', b'5'), (b'connection', b'close')]})
    await send({'type': 'http.response.early_hint'})
    say('hinted')
    await respond(send, b'done')
";
    run(code, |site| async move {
        let hinted = Arc::new(Hinted::default());
        let mut request = get("/");
        request.hints = Some(hinted.clone());
        let response = site.respond(request).await;
        assert_eq!(
            *hinted.0.lock().unwrap(),
            ["link: </a.css>; rel=preload, link: </b.js>", "link: </c.png>", ""]
        );
        assert_eq!(whole(response), "done");
        // A client of HTTP/1.0 is spared them.
        assert_eq!(whole(site.respond(get("/")).await), "done");
    });
}

#[test]
fn trailers_follow_the_body() {
    let code = "
async def app(scope, receive, send):
    await send(start(headers=[(b'Trailer', b'x-sum'), (b'x-a', b'1')], trailers=True))
    await send(body(b'some '))  if scope['method'] == 'GET' else await send(body(b'some ', True))
    if scope['method'] == 'POST':
        await send(body(b'more'))
    await send({'type': 'http.response.trailers', 'headers': [(b'X-Sum', b'5')], 'more_trailers': True})
    await send({'type': 'http.response.trailers', 'headers': [(b'X-Time', b'6')]})
    say(await receive())
    say(await receive())
";
    run(code, |site| async move {
        for (method, body) in [(Method::GET, "some "), (Method::POST, "some more")] {
            let mut request = get("/");
            request.head.method = method;
            let response = site.respond(request).await;
            assert_eq!(response.head.headers["trailer"], "x-sum");
            let (all, trailers) = Download::of(response).rest().await;
            assert_eq!(all, body.as_bytes());
            let trailers = trailers.unwrap();
            assert_eq!(
                (&trailers["x-sum"], &trailers["x-time"]),
                (&"5".parse().unwrap(), &"6".parse().unwrap())
            );
            assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
            assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
        }
    });
}

#[test]
fn an_application_may_end_its_connection_and_has_no_other_say_over_it() {
    let code = "
async def app(scope, receive, send):
    fields = [(b'Connection', scope['path'][1:].encode()), (b'keep-alive', b'timeout=5')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': fields})
    await send(body())
";
    run(code, |site| async move {
        assert_eq!(site.respond(get("/Close")).await.head.headers["connection"], "close");
        assert!(site.respond(get("/upgrade")).await.head.headers.is_empty());
    });
}
