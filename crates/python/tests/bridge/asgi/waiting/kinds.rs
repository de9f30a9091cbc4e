//! Whatever asyncio makes of `receive()` and `send()`: a task, a future, a coroutine.

use super::{REQUEST, doing};
use crate::asgi::client::{Download, Upload};
use crate::asgi::run;
use crate::support::get;

#[test]
fn whatever_asyncio_makes_of_receive_gives_the_message() {
    for wait in [
        "await receive()",
        "await asyncio.create_task(receive())",
        "await asyncio.ensure_future(receive())",
        "(await asyncio.gather(receive()))[0]",
        "await asyncio.wait_for(receive(), 60)",
        "await asyncio.wait_for(receive(), None)",
        "await asyncio.shield(receive())",
        "(await asyncio.wait({asyncio.create_task(receive())}))[0].pop().result()",
        "await asyncio.get_running_loop().create_task(receive())",
        "await anext(aiter_of(receive))",
        "await next(asyncio.as_completed([receive()]))",
        "await through(receive())",
    ] {
        let code = doing(&format!(
            "
async def aiter_of(receive):
    yield await receive()
async def through(awaitable):
    return await asyncio.create_task(awaitable, name='through')
say('waits')
say({wait})"
        ));
        run(&code, move |site| async move {
            // What is there already, and what comes later.
            let upload = Upload::default();
            upload.last(b"one");
            site.respond(upload.request()).await;
            assert_eq!(site.heard().await, "'waits'");
            assert_eq!(site.heard().await, REQUEST, "{wait}");
            let upload = Upload::default();
            let answer = site.answer(upload.request());
            assert_eq!(site.heard().await, "'waits'");
            site.settle().await;
            upload.last(b"one");
            assert_eq!(site.heard().await, REQUEST, "{wait}");
            answer.await.unwrap();
        });
    }
}

#[test]
fn send_can_be_a_task_too() {
    let code = "
async def app(scope, receive, send):
    await asyncio.create_task(send(start()))
    await asyncio.gather(send(body(b'x' * 300_000, True)))
    await asyncio.wait_for(send(body(b'y' * 300_000, True)), 60)
    await asyncio.shield(send(body()))
";
    run(code, |site| async move {
        let mut download = Download::of(site.respond(get("/")).await);
        assert_eq!(download.rest().await.0.len(), 600_000);
    });
}

#[test]
fn the_awaitables_are_coroutines_and_awaitable_to_whoever_asks() {
    let code = doing(
        "
for awaitable in receive(), receive(), send(start()):
    say([inspect.isawaitable(awaitable), asyncio.iscoroutine(awaitable), asyncio.isfuture(awaitable)])
    awaitable.close()
return await send(body())",
    );
    run(&code, |site| async move {
        site.respond(get("/")).await;
        for _ in 0..3 {
            assert_eq!(site.heard().await, "[True, True, False]");
        }
    });
}
