//! What becomes of a call whose client has left, and of none else.

use std::time::{Duration, Instant};

use ferricorn_python::asgi::Calling;
use pyo3::Python;

use super::client::Download;
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
";
    let mut settings = settings();
    settings.disconnect_grace = Duration::from_secs(3600);
    run_with((settings, Calling::Single), code, |site| async move {
        let answer = site.answer(get("/"));
        site.settle().await;
        drop(answer);
        assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
        assert_eq!(site.heard().await, "'cleaned up'");
    });
}

#[test]
fn a_task_that_does_not_end_is_cancelled_when_the_grace_period_is_over_and_not_before() {
    let code = "
async def app(scope, receive, send):
    say('begins')
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say('cancelled')
";
    let grace = Duration::from_millis(50);
    let mut settings = settings();
    settings.disconnect_grace = grace;
    run_with((settings, Calling::Single), code, move |site| async move {
        let answer = site.answer(get("/"));
        assert_eq!(site.heard().await, "'begins'");
        let left = Instant::now();
        drop(answer);
        assert_eq!(site.heard().await, "'cancelled'");
        assert!(left.elapsed() >= grace);
    });
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
