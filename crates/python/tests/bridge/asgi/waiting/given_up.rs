//! Waits that time out, are cancelled, or are left when the request is over.

use super::{REQUEST, doing};
use crate::asgi::client::Upload;
use crate::asgi::run;
use crate::support::get;

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
