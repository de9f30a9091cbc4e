//! Responses that stream: a slow client holds up its application, one that left is told, and some have no body.

use http::Method;

use super::client::{Download, whole};
use super::{is_ready, run};
use crate::support::get;

#[test]
fn the_head_leaves_with_the_first_piece_and_empty_ones_are_passed_over() {
    let code = "
go = asyncio.Event()
async def app(scope, receive, send):
    await send(start(headers=[(b'x-a', b'1')]))
    say('begun')
    await go.wait()
    await send(body(b'', True))
    say('headed')
    await send(body(b'one', True))
    await send(body(b'', True))
    await send(body(b'two', True))
    await send(body(b''))
";
    run(code, |site| async move {
        let mut answer = site.answer(get("/"));
        assert_eq!(site.heard().await, "'begun'");
        site.settle().await;
        assert!(!is_ready(&mut answer).await, "the head has left before the first piece");
        site.eval("go.set()");
        let response = answer.await.unwrap();
        assert_eq!(response.head.headers["x-a"], "1");
        let mut download = Download::of(response);
        assert_eq!(download.rest().await.0, b"onetwo");
    });
}

#[test]
fn an_empty_first_piece_takes_the_head_to_the_client() {
    let code = "
go = asyncio.Event()
async def app(scope, receive, send):
    await send(start(202))
    await send(body(b'', True))
    await go.wait()
    await send(body(b'late'))
";
    run(code, |site| async move {
        let response = site.respond(get("/")).await;
        assert_eq!(response.head.status, 202);
        site.eval("go.set()");
        assert_eq!(Download::of(response).rest().await.0, b"late");
    });
}

#[test]
fn send_waits_for_a_client_that_is_behind() {
    let code = "
async def app(scope, receive, send):
    await send(start())
    for number in range(4):
        await send(body(b'%d' % number * 300_000, True))
        say(number)
    await send(body(b'4' * 200_000))
    say('end')
";
    run(code, |site| async move {
        let mut download = Download::of(site.respond(get("/")).await);
        for number in 0..3 {
            site.settle().await;
            assert_eq!(site.unheard(), Vec::<String>::new());
            assert_eq!(download.piece().await, vec![b'0' + number; 300_000]);
            assert_eq!(site.heard().await, number.to_string());
        }
        assert_eq!(download.piece().await, vec![b'3'; 300_000]);
        // The last piece is not waited for.
        assert_eq!(site.heard().await, "3");
        assert_eq!(site.heard().await, "'end'");
        assert_eq!(download.rest().await.0.len(), 200_000);
    });
}

#[test]
fn many_small_pieces_make_a_large_one() {
    let code = "
sent = 0
async def app(scope, receive, send):
    global sent
    await send(start())
    for _ in range(1000):
        await send(body(b'x' * 1024, True))
        sent += 1
    await send(body())
";
    run(code, |site| async move {
        let mut download = Download::of(site.respond(get("/")).await);
        site.settle().await;
        let sent: usize = site.eval("sent").parse().unwrap();
        assert!((16..512).contains(&sent), "{sent} KiB were taken at once");
        assert_eq!(download.rest().await.0.len(), 1000 * 1024);
    });
}

#[test]
fn a_send_that_waits_is_told_of_the_client_who_leaves() {
    let code = "
async def app(scope, receive, send):
    await send(start())
    try:
        await send(body(bytes(300_000), True))
    except asyncio.CancelledError:
        say('cancelled')
    except OSError as error:
        say(str(error))
    for message in body(b'', True), body(), start(), {'type': 'http.response.early_hint', 'links': []}:
        try:
            await send(message)
        except OSError as error:
            say(str(error))
    say([isinstance(error, OSError), type(error).__module__, type(error).__name__] if (error := last(send)) else 0)

def last(send):
    try:
        send(body())
    except OSError as error:
        return error
";
    run(code, |site| async move {
        let download = Download::of(site.respond(get("/")).await);
        site.settle().await;
        drop(download);
        assert_eq!(site.heard().await, "'http.response.body was sent after the client had disconnected'");
        for name in ["body", "body", "start", "early_hint"] {
            let expected = format!("'http.response.{name} was sent after the client had disconnected'");
            assert_eq!(site.heard().await, expected);
        }
        assert_eq!(site.heard().await, "[True, 'ferricorn', 'ClientDisconnected']");
    });
}

#[test]
fn the_answer_to_head_is_a_stream_that_nobody_reads() {
    let code = "
async def app(scope, receive, send):
    await receive()
    await send(start())
    for number in range(5):
        await send(body(bytes(50_000), True))
    await send(body())
    say('done')
    say(await receive())
";
    run(code, |site| async move {
        let mut request = get("/");
        request.head.method = Method::HEAD;
        drop(site.respond(request).await);
        assert_eq!(site.heard().await, "'done'");
        assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
    });
}

#[test]
fn a_status_without_a_body_has_none_whatever_is_sent() {
    for status in ["204", "205", "304"] {
        let code = format!(
            "
async def app(scope, receive, send):
    await send(start({status}))
    for number in range(5):
        await send(body(bytes(50_000), True))
    await asyncio.sleep(0)
    await send(body(b'end'))
    say('done')
"
        );
        run(&code, move |site| async move {
            let mut download = Download::of(site.respond(get("/")).await);
            assert_eq!(download.rest().await.0, b"", "{status}");
            assert_eq!(site.heard().await, "'done'");
            let request = get("/");
            let _connection = request.connection.clone();
            drop(Download::of(site.respond(request).await));
            assert_eq!(site.heard().await, "'done'", "{status}");
        });
    }
}

#[test]
fn a_response_in_one_piece_is_whole_however_large() {
    let code = "
async def app(scope, receive, send):
    await respond(send, bytes(1_000_000))
    say('done')
";
    run(code, |site| async move {
        assert_eq!(whole(site.respond(get("/")).await).len(), 1_000_000);
        assert_eq!(site.heard().await, "'done'");
    });
}

#[test]
fn two_tasks_that_send_both_wait_and_both_go_on() {
    let code = "
async def app(scope, receive, send):
    await send(start())
    async def part(data):
        await send(body(data * 300_000, True))
        say(data)
    await asyncio.gather(part(b'a'), part(b'b'))
    await send(body())
";
    run(code, |site| async move {
        let mut download = Download::of(site.respond(get("/")).await);
        site.settle().await;
        assert_eq!(site.unheard(), Vec::<String>::new());
        assert_eq!(download.rest().await.0.len(), 600_000);
        let mut said = [site.heard().await, site.heard().await];
        said.sort();
        assert_eq!(said, ["b'a'", "b'b'"]);
    });
}
