//! What becomes of a call whose client has left, and of none else.

use std::sync::Arc;
use std::time::Duration;

use ferricorn_python::asgi::Calling;
use pyo3::Python;

use super::client::{Download, Hinted, Upload};
use super::{run, run_with, settings};
use crate::support::get;

#[test]
fn a_client_that_leaves_ends_its_own_task_and_no_other() {
    let code = "
async def app(scope, receive, send):
    say(scope['path'] + ' begins')
    await receive()
    try:
        say(await receive())
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say(scope['path'] + ' is cancelled')
        raise
";
    let ended = run(code, |site| async move {
        let first = site.answer(get("/first"));
        let second = site.answer(get("/second"));
        assert_eq!(site.heard().await, "'/first begins'");
        assert_eq!(site.heard().await, "'/second begins'");
        drop(first);
        assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
        assert_eq!(site.heard().await, "'/first is cancelled'");
        site.settle().await;
        assert_eq!(site.unheard(), Vec::<String>::new());
        drop(second);
        assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
        assert_eq!(site.heard().await, "'/second is cancelled'");
    });
    assert_eq!(ended.logged("ERROR"), [""; 0]);
}

#[test]
fn the_grace_period_is_for_the_task_to_end_by_itself() {
    let code = "
async def app(scope, receive, send):
    await receive()
    say(await receive())
    for _ in range(5):
        await asyncio.sleep(0)
    say('cleaned up')
    if scope['path'] == '/long':
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say('cancelled')
";
    for (grace, path) in [(Duration::from_secs(3600), "/"), (Duration::from_millis(50), "/long")] {
        let mut settings = settings();
        settings.disconnect_grace = grace;
        run_with((settings, Calling::Single), code, |site| async move {
            let answer = site.answer(get(path));
            site.settle().await;
            drop(answer);
            assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
            assert_eq!(site.heard().await, "'cleaned up'");
            if path == "/long" {
                assert_eq!(site.heard().await, "'cancelled'");
            }
        });
    }
}

#[test]
fn a_task_that_goes_on_after_its_response_is_let_be() {
    let code = "
go = asyncio.Event()
async def app(scope, receive, send):
    await send(start())
    if scope['path'] == '/streams':
        await send(body(b'streams', True))
    await send(body())
    try:
        await go.wait()
        say('done')
    except asyncio.CancelledError:
        say('cancelled')
";
    run(code, |site| async move {
        drop(site.respond(get("/")).await);
        Download::of(site.respond(get("/streams")).await).rest().await;
        site.settle().await;
        site.eval("go.set()");
        assert_eq!(site.heard().await, "'done'");
        assert_eq!(site.heard().await, "'done'");
    });
}

#[test]
fn a_client_that_leaves_before_its_call_is_none() {
    let code = "
async def app(scope, receive, send):
    say(scope['path'])
    await respond(send)
";
    run(code, |site| async move {
        drop(site.answer(get("/gone")));
        site.respond(get("/stays")).await;
        assert_eq!(site.heard().await, "'/stays'");
        assert_eq!(site.unheard(), Vec::<String>::new());
    });
}

#[test]
fn what_comes_of_a_client_that_left_is_no_error_but_anything_else_is() {
    for (raised, logged) in [
        ("raise", None),
        ("raise RuntimeError('the framework gives up') from error", None),
        ("raise type('ClientDisconnect', (Exception,), {})", None),
        ("raise RuntimeError('while it was handled')", Some("RuntimeError: while it was handled")),
        ("pass\n    raise ValueError('its own')", Some("ValueError: its own")),
    ] {
        let code = format!(
            "
async def app(scope, receive, send):
    await send(start())
    try:
        while True:
            await send(body(bytes(40_000), True))
    except OSError as error:
        gone = error
    try:
        raise gone
    except OSError as error:
        {raised}
"
        );
        let ended = run(&code, |site| async move {
            let download = Download::of(site.respond(get("/")).await);
            site.settle().await;
            drop(download);
            site.settle().await;
        });
        match (logged, &ended.logged("ERROR")[..]) {
            (None, []) => {
                let told = ended.logged("DEBUG");
                assert!(told.iter().any(|line| line.contains("whose client had left")), "{told:?}");
            }
            (Some(message), [told]) => assert!(told.ends_with(message), "{told}"),
            (_, told) => panic!("{raised}: {told:?}"),
        }
    }
}

#[test]
fn system_exit_after_the_client_left_still_ends_the_process() {
    let code = "
async def app(scope, receive, send):
    await receive()
    say('waits')
    await receive()
    raise SystemExit(7)
";
    run(code, |site| async move {
        let answer = site.answer(get("/"));
        assert_eq!(site.heard().await, "'waits'");
        drop(answer);
        assert_eq!(site.heard().await, "leave 7");
    });
}

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
fn a_group_of_tasks_whose_client_left_is_no_error_unless_another_is_in_it() {
    Python::initialize();
    if Python::attach(|py| py.version_info() < (3, 11)) {
        return; // No groups of tasks yet.
    }
    for (other, logged) in [("await receive()", 0), ("await receive(); raise ValueError('its own')", 1)] {
        let code = format!(
            "
async def app(scope, receive, send):
    await receive()
    await send(start())
    async def stream():
        while True:
            await send(body(bytes(40_000), True))
    async def other():
        {other}
    async with asyncio.TaskGroup() as group:
        group.create_task(stream())
        group.create_task(other())
"
        );
        let mut settings = settings();
        settings.disconnect_grace = Duration::from_secs(3600);
        let ended = run_with((settings, Calling::Single), &code, |site| async move {
            let download = Download::of(site.respond(get("/")).await);
            site.settle().await;
            drop(download);
            site.settle().await;
        });
        assert_eq!(ended.logged("ERROR").len(), logged, "{:?}", ended.log);
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

#[test]
fn a_body_that_nobody_wants_and_that_never_ends_is_ended() {
    let code = "
async def app(scope, receive, send):
    await send(start())
    try:
        while True:
            await send(body(b'x', True))
    except asyncio.CancelledError:
        say('cancelled')
";
    run(code, |site| async move {
        let mut request = get("/");
        request.head.method = http::Method::HEAD;
        drop(Download::of(site.respond(request).await));
        assert_eq!(site.heard().await, "'cancelled'");
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
