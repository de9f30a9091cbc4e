//! What asyncio can do with `receive()`: it is a coroutine to whoever asks, and several may wait at the same time.

use super::client::Upload;
use super::run;
use crate::support::get;

/// An application that runs this, and then answers.
fn doing(what: &str) -> String {
    format!(
        "
import collections.abc, gc, inspect, weakref

class Witness:
    alive = weakref.WeakSet()
    def __init__(self):
        self.alive.add(self)

async def witnessed(awaitable):
    witness = Witness()
    return await awaitable

def alive():
    gc.collect()
    return len(Witness.alive)

async def app(scope, receive, send):
    {}
    await respond(send)
",
        what.trim().replace('\n', "\n    ")
    )
}

const REQUEST: &str = "{'type': 'http.request', 'body': b'one', 'more_body': False}";

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
        let mut download = super::client::Download::of(site.respond(get("/")).await);
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

#[test]
fn tasks_that_wait_at_the_same_time_get_a_piece_each() {
    let code = doing(
        "
tasks = [asyncio.create_task(receive()) for _ in range(3)]
say('waits')
bodies = [(await task)['body'] for task in tasks]
say(sorted(bodies))",
    );
    run(&code, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(upload.request());
        assert_eq!(site.heard().await, "'waits'");
        for piece in [&b"one"[..], b"two"] {
            site.settle().await;
            upload.piece(piece);
        }
        site.settle().await;
        upload.last(b"three");
        assert_eq!(site.heard().await, "[b'one', b'three', b'two']");
        answer.await.unwrap();
    });
}

#[test]
fn a_wait_that_is_given_up_does_not_take_the_piece_of_another() {
    for given_up in ["0", "1"] {
        let code = doing(&format!(
            "
tasks = [asyncio.create_task(receive()) for _ in range(2)]
await asyncio.sleep(0)
await asyncio.sleep(0)
tasks.pop({given_up}).cancel()
say('waits')
say(await tasks[0])"
        ));
        run(&code, |site| async move {
            let upload = Upload::default();
            let answer = site.answer(upload.request());
            assert_eq!(site.heard().await, "'waits'");
            site.settle().await;
            upload.last(b"one");
            assert_eq!(site.heard().await, REQUEST);
            answer.await.unwrap();
        });
    }
}

#[test]
fn all_who_wait_hear_that_the_client_has_left() {
    let code = "
async def app(scope, receive, send):
    await receive()
    tasks = [asyncio.create_task(receive()) for _ in range(3)]
    say('waits')
    try:
        await asyncio.Event().wait()
    finally:
        for task in tasks:
            say(await task)
";
    run(code, |site| async move {
        let answer = site.answer(get("/"));
        assert_eq!(site.heard().await, "'waits'");
        site.settle().await;
        drop(answer);
        for _ in 0..3 {
            assert_eq!(site.heard().await, "{'type': 'http.disconnect'}");
        }
    });
}

#[test]
fn waits_that_time_out_leave_nothing_behind() {
    let code = doing(
        "
for _ in range(100):
    try:
        await asyncio.wait_for(witnessed(receive()), 0.0001)
    except asyncio.TimeoutError:
        pass
await asyncio.sleep(0)
say(alive())
tasks = [asyncio.create_task(witnessed(receive())) for _ in range(100)]
await asyncio.sleep(0)
await asyncio.sleep(0)
say(len(Witness.alive))
for task in tasks:
    task.cancel()
await asyncio.wait(tasks)
del task, tasks
say(alive())
say(await receive())",
    );
    run(&code, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(upload.request());
        assert_eq!(site.heard().await, "0");
        assert_eq!(site.heard().await, "100");
        assert_eq!(site.heard().await, "0");
        upload.last(b"one");
        assert_eq!(site.heard().await, REQUEST);
        answer.await.unwrap();
    });
}

#[test]
fn a_task_that_still_waits_when_the_request_is_over_goes_with_it() {
    let code = doing(
        "
await receive()
global waiting
waiting = weakref.ref(asyncio.create_task(witnessed(receive())))
await asyncio.sleep(0)
await asyncio.sleep(0)
say(len(Witness.alive))",
    );
    run(&code, |site| async move {
        site.respond(get("/")).await;
        assert_eq!(site.heard().await, "1");
        // The response has ended, and so has the wait.
        site.settle().await;
        assert_eq!(site.eval("alive(), waiting()"), "(0, None)");
    });
}

#[test]
fn a_wait_is_cancelled_with_its_task_and_its_message() {
    let code = doing(
        "
await receive()
task = asyncio.create_task(receive())
await asyncio.sleep(0)
await asyncio.sleep(0)
say(task.cancel())
try:
    await task
except asyncio.CancelledError:
    say('cancelled')
say([task.cancelled(), task.done()])
async def stubborn():
    try:
        await receive()
    except asyncio.CancelledError as error:
        return error.args
task = asyncio.create_task(stubborn())
await asyncio.sleep(0)
await asyncio.sleep(0)
task.cancel('enough')
say(await task)",
    );
    run(&code, |site| async move {
        site.respond(get("/")).await;
        assert_eq!(site.heard().await, "True");
        assert_eq!(site.heard().await, "'cancelled'");
        assert_eq!(site.heard().await, "[True, True]");
        assert_eq!(site.heard().await, "('enough',)");
    });
}

#[test]
fn a_shielded_wait_outlives_who_waits_for_it() {
    let code = doing(
        "
inner = asyncio.ensure_future(receive())
try:
    await asyncio.wait_for(asyncio.shield(inner), 0.0001)
except asyncio.TimeoutError:
    say(inner.done())
say(await inner)",
    );
    run(&code, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(upload.request());
        assert_eq!(site.heard().await, "False");
        upload.last(b"one");
        assert_eq!(site.heard().await, REQUEST);
        answer.await.unwrap();
    });
}
