//! The task in which a call runs: how it is made, and what it may be made of.

use ferricorn_python::asgi::Calling;

use super::client::{handshake, whole};
use super::{run, run_with, settings};
use crate::support::get;

#[test]
fn an_application_of_asgi_2_is_called_twice() {
    let code = "
def app(scope):
    say(scope['path'])
    async def instance(receive, send):
        await receive()
        await respond(send, b'twice')
    return instance
";
    run_with((settings(), Calling::Double), code, |site| async move {
        assert_eq!(whole(site.respond(get("/a")).await), "twice");
        assert_eq!(site.heard().await, "'/a'");
    });
    let raises = "
def app(scope):
    raise ValueError('at the first call')
";
    run_with((settings(), Calling::Double), raises, |site| async move {
        assert_eq!(site.fail(get("/")).await.message, "ValueError: at the first call");
    });
}

#[test]
fn whatever_can_be_awaited_is() {
    for app in [
        "async def app(scope, receive, send): await answer(receive, send)",
        "app = lambda scope, receive, send: answer(receive, send)",
        "class App:\n    async def __call__(self, scope, receive, send): await answer(receive, send)\napp = App()",
        "class app:\n    def __init__(self, scope, receive, send): self.channel = receive, send\n    \
         def __await__(self): return answer(*self.channel).__await__()",
        "def app(scope, receive, send): return asyncio.ensure_future(answer(receive, send))",
        "def app(scope, receive, send): return asyncio.gather(answer(receive, send))",
        "@types.coroutine\ndef app(scope, receive, send): yield from answer(receive, send).__await__()",
        "class Own(collections.abc.Coroutine):\n    def __init__(self, inner): self.inner = inner\n    \
         def send(self, value): return self.inner.send(value)\n    \
         def throw(self, *error): return self.inner.throw(*error)\n    \
         def __await__(self): return self.inner.__await__()\n\
         def app(scope, receive, send): return Own(answer(receive, send))",
        "app = functools.partial(answer3, 0)",
    ] {
        let code = format!(
            "
import collections.abc, functools, types
async def answer(receive, send):
    await asyncio.sleep(0)
    await receive()
    await respond(send, b'awaited')
async def answer3(_, scope, receive, send):
    await answer(receive, send)
{app}
"
        );
        run(&code, move |site| async move {
            for _ in 0..2 {
                assert_eq!(whole(site.respond(get("/")).await), "awaited", "{app}");
            }
        });
    }
}

#[test]
fn what_cannot_be_awaited_is_a_fault() {
    for (returned, message) in [
        ("None", "TypeError: An asyncio.Future, a coroutine or an awaitable is required"),
        ("[b'wsgi']", "TypeError: An asyncio.Future, a coroutine or an awaitable is required"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ] {
        let code = format!("def app(scope, receive, send): return {returned}");
        run(&code, move |site| async move {
            assert_eq!(site.fail(get("/")).await.message, message);
            assert_eq!(site.fail(handshake("/", &[])).await.message, message);
        });
    }
}

#[test]
fn the_factory_of_the_application_makes_the_tasks() {
    let code = "
class Own(asyncio.Task): pass
def make(loop, coroutine, **options):
    say('made')
    return Own(coroutine, loop=loop, **options)
async def app(scope, receive, send):
    asyncio.get_running_loop().set_task_factory(FACTORIES.pop(0))
    await asyncio.sleep(0)
    say(type(asyncio.current_task()).__name__)
    await receive()
    await respond(send)
FACTORIES = [make, getattr(asyncio, 'eager_task_factory', None), None, None]
";
    run(code, |site| async move {
        site.respond(get("/")).await;
        assert_eq!(site.heard().await, "'Task'");
        site.respond(get("/")).await;
        assert_eq!(site.heard().await, "'made'");
        assert_eq!(site.heard().await, "'Own'");
        for _ in 0..2 {
            site.respond(get("/")).await;
            assert_eq!(site.heard().await, "'Task'");
        }
    });
}

#[test]
fn each_call_is_a_task_of_its_own_from_its_first_step_on() {
    let code = "
import sys
async def app(scope, receive, send):
    first = asyncio.current_task()
    say([type(first), first in asyncio.all_tasks(), first.done()])
    if sys.version_info >= (3, 11):
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            inner = group.create_task(receive())
    else:
        await (inner := asyncio.create_task(receive()))
    assert inner is not first and inner.done()
    say(asyncio.current_task() is first)
    tasks.add(first)
    await respond(send)
tasks = set()
";
    run(code, |site| async move {
        for _ in 0..2 {
            site.respond(get("/")).await;
            assert_eq!(site.heard().await, "[<class '_asyncio.Task'>, True, False]");
            assert_eq!(site.heard().await, "True");
        }
        assert_eq!(site.eval("len(tasks)"), "2");
        assert_eq!(site.eval("asyncio.current_task()"), "None");
    });
}

#[test]
fn calls_overlap() {
    let code = "
waiting = []
async def app(scope, receive, send):
    waiting.append(scope['path'])
    if len(waiting) == 3:
        all_here.set()
    await all_here.wait()
    await respond(send, scope['path'].encode())
all_here = asyncio.Event()
";
    run(code, |site| async move {
        let answers = ["/a", "/b", "/c"].map(|path| (path, site.answer(get(path))));
        for (path, answer) in answers {
            assert_eq!(whole(answer.await.unwrap()), path);
        }
    });
}
