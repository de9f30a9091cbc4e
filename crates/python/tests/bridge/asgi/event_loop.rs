//! The event loop: an application that stops it, and what is left in it at its end.

use super::client::whole;
use super::run;
use crate::support::get;

#[test]
fn a_loop_that_the_application_stops_is_run_again_and_the_worker_leaves() {
    let code = "
async def app(scope, receive, send):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    await respond(send, b'still here')
";
    let ended = run(code, |site| async move {
        let answer = site.answer(get("/"));
        assert_eq!(site.heard().await, "leave 0");
        assert_eq!(whole(answer.await.unwrap()), "still here");
    });
    assert_eq!(ended.logged("WARN"), ["The app has stopped the event loop; this worker leaves"]);
}

#[test]
fn what_is_left_in_the_loop_is_cancelled_at_its_end() {
    let code = "
async def linger():
    try:
        await asyncio.Event().wait()
    finally:
        say('cancelled')
async def generate():
    try:
        yield
    finally:
        say('closed')
async def app(scope, receive, send):
    global kept
    kept = asyncio.create_task(linger()), generate()
    await anext(kept[1])
    await asyncio.sleep(0)
    await respond(send)
";
    let ended = run(code, |site| async move {
        site.respond(get("/")).await;
    });
    assert_eq!(ended.unheard(), ["'cancelled'", "'closed'"]);
    ended.hosted.unwrap();
}
