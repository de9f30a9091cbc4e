//! Several who wait at the same time.

use super::{REQUEST, doing};
use crate::asgi::client::Upload;
use crate::asgi::run;
use crate::support::get;

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
