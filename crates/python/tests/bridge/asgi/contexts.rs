//! The context of a call: its own, and the same throughout.

use super::client::{Download, Upload};
use super::run;
use crate::support::get;

#[test]
fn what_a_call_sets_in_its_context_is_its_own_and_its_tasks() {
    let code = "
import contextvars
var = contextvars.ContextVar('var', default='unset')
async def app(scope, receive, send):
    say(var.get())
    var.set(scope['path'])
    await receive()
    await asyncio.sleep(0)
    # The script hears this, and begins another call before this one goes on.
    say('here')
    await asyncio.sleep(0)
    await send(start())
    async def child():
        return var.get()
    say([var.get(), await asyncio.create_task(child()), await asyncio.to_thread(var.get)])
    await send(body())
";
    run(code, |site| async move {
        let first = site.answer(get("/first"));
        assert_eq!(site.heard().await, "'unset'");
        assert_eq!(site.heard().await, "'here'");
        let second = site.answer(get("/second"));
        assert_eq!(site.heard().await, "'unset'");
        let mut heard = vec![site.heard().await, site.heard().await, site.heard().await];
        heard.sort();
        let all = |path: &str| format!("['{path}', '{path}', '{path}']");
        assert_eq!(heard, ["'here'".to_owned(), all("/first"), all("/second")]);
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(site.eval("var.get()"), "'unset'");
    });
}

#[test]
fn the_context_is_the_same_after_every_kind_of_wait() {
    let code = "
import contextvars
var = contextvars.ContextVar('var', default='unset')
async def app(scope, receive, send):
    var.set('set')
    say('waits')
    await receive()
    say(var.get())
    await send(start())
    await send(body(bytes(300_000), True))
    say(var.get())
    await send(body())
";
    run(code, |site| async move {
        let upload = Upload::default();
        let answer = site.answer(upload.request());
        assert_eq!(site.heard().await, "'waits'");
        site.settle().await;
        upload.last(b"x");
        let mut download = Download::of(answer.await.unwrap());
        assert_eq!(site.heard().await, "'set'");
        site.settle().await;
        download.rest().await;
        assert_eq!(site.heard().await, "'set'");
    });
}
