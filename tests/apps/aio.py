"""An ASGI app with a path for each thing of asyncio that an app relies on. Each page returns what is sent as JSON."""

import asyncio
import contextvars
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qsl

import anyio
import anyio.to_thread
import sniffio
from noting import note

PAGES = {}
WHO = contextvars.ContextVar("who", default="nobody")
LOCK, QUEUE, EVENT = asyncio.Lock(), asyncio.Queue(), asyncio.Event()
KEPT = {}


def page(function):
    """Registers a page under its name, with hyphens. It gets the query as keyword arguments."""
    PAGES["/" + function.__name__.replace("_", "-")] = function
    return function


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await live(receive, send)
    query = dict(parse_qsl(scope["query_string"].decode()))
    function = PAGES[scope["path"]]
    value = await (function(receive, **query) if function.__name__.startswith("receive") else function(**query))
    body = json.dumps(value).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def live(receive, send):
    await receive()
    KEPT["loop"] = asyncio.get_running_loop()
    prepare = os.environ.get("PREPARE")
    if prepare:
        await globals()[prepare]()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    note("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


# What a test may want to be done in the lifespan.


async def own_tasks():
    class Counted(asyncio.Task):
        pass

    asyncio.get_running_loop().set_task_factory(lambda loop, coro, **options: Counted(coro, loop=loop, **options))


async def eager_tasks():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


async def own_term():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, note, "term seen")


async def background():
    async def work():
        try:
            while True:
                await asyncio.sleep(0.01)
                KEPT["ticks"] = KEPT.get("ticks", 0) + 1
        finally:
            note("background ended")

    KEPT["task"] = asyncio.create_task(work())


async def own_handler():
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: note("handled", str(context.get("exception"))))


# Where a handler runs.


@page
async def where():
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    return {
        "kind": type(loop).__module__.split(".")[0],
        "the loop of the lifespan": loop is KEPT["loop"],
        "get_event_loop": asyncio.get_event_loop() is loop,
        "task": isinstance(task, asyncio.Future) and asyncio.current_task(loop) is task,
        "task among all": task in asyncio.all_tasks(),
        "task class": type(task).__name__,
        "library": sniffio.current_async_library(),
        "main thread": threading.current_thread() is threading.main_thread(),
        "debug": loop.get_debug(),
        "pid": os.getpid(),
    }


@page
async def context(who):
    before = WHO.get()
    WHO.set(who)
    await asyncio.sleep(0.01)
    seen = [before, WHO.get()]

    async def child():
        own = WHO.get()
        WHO.set("child")
        await asyncio.sleep(0)
        return own

    seen += [await asyncio.create_task(child()), await child_of_thread(), WHO.get()]
    token = WHO.set("inner")
    WHO.reset(token)
    return [*seen, WHO.get()]


async def child_of_thread():
    return await asyncio.to_thread(WHO.get)


@page
async def same_task():
    first = asyncio.current_task()
    await asyncio.sleep(0)
    middle = asyncio.current_task()
    await asyncio.to_thread(int)
    return first is middle is asyncio.current_task()


# Receiving in other tasks.


@page
async def receive_in_a_task(receive):
    parts = []
    while True:
        message = await asyncio.create_task(receive())
        parts.append(message["body"].decode())
        if not message["more_body"]:
            return "".join(parts)


@page
async def receive_by_all_means(receive, how):
    """Receives each message through another function of asyncio."""
    ways = {
        "gather": lambda: asyncio.gather(receive(), asyncio.sleep(0)),
        "wait": lambda: asyncio.wait([asyncio.ensure_future(receive())]),
        "shield": lambda: asyncio.shield(receive()),
        "wait_for": lambda: asyncio.wait_for(receive(), 10),
        "as_completed": lambda: next(asyncio.as_completed([receive()])),
    }
    note("ready")
    body = b""
    while True:
        message = await ways[how]()
        message = {"gather": lambda: message[0], "wait": lambda: message[0].pop().result()}.get(how, lambda: message)()
        body += message["body"]
        if not message["more_body"]:
            return body.decode()


@page
async def receive_with_timeout(receive):
    """Gives a receive up, and receives again: nothing is lost."""
    body, given_up = b"", 0
    while True:
        try:
            message = await asyncio.wait_for(receive(), 0.05)
        except TimeoutError:
            given_up += 1
            note("gave up")
            continue
        body += message["body"]
        if not message["more_body"]:
            return [body.decode(), given_up > 0]


# What asyncio offers.


@page
async def structured():
    found = []

    async def after(seconds, value):
        await asyncio.sleep(seconds)
        found.append(value)

    if sys.version_info >= (3, 11):
        async with asyncio.TaskGroup() as group:
            group.create_task(after(0.02, "second"))
            group.create_task(after(0.01, "first"))
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            found.append("timeout")
    else:
        await asyncio.gather(after(0.02, "second"), after(0.01, "first"))
        found.append("timeout")
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except asyncio.TimeoutError:
        found.append("wait_for")
    task = asyncio.create_task(after(60, "never"))
    await asyncio.sleep(0)
    task.cancel()
    found.append(str((await asyncio.gather(task, return_exceptions=True))[0].__class__.__name__))
    return found


@page
async def callbacks():
    loop, called, done, last = asyncio.get_running_loop(), [], asyncio.Event(), threading.Event()
    now = loop.time()
    loop.call_soon(called.append, "soon")
    loop.call_later(0.02, called.append, "later")
    loop.call_later(0.03, last.set)
    loop.call_at(now + 0.01, called.append, "at")
    loop.call_later(0.01, called.append, "cancelled").cancel()
    threading.Thread(target=lambda: (last.wait(20), loop.call_soon_threadsafe(called.append, "thread"),
                                     loop.call_soon_threadsafe(done.set))).start()
    await done.wait()
    return called


@page
async def coroutine_from_a_thread():
    loop = asyncio.get_running_loop()

    def work():
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01, "from the loop"), loop).result(10)

    return await loop.run_in_executor(None, work)


@page
async def made_at_import():
    """Uses what was made when the module was imported."""
    async with LOCK:
        asyncio.get_running_loop().call_later(0.01, QUEUE.put_nowait, "item")
        asyncio.get_running_loop().call_later(0.02, EVENT.set)
        item = await QUEUE.get()
        await EVENT.wait()
        waiter = asyncio.create_task(LOCK.acquire())
        await asyncio.sleep(0)
    return [item, await waiter, LOCK.release()]


@page
async def with_anyio():
    found = []

    async def child(name, *, task_status=anyio.TASK_STATUS_IGNORED):
        task_status.started()
        await anyio.sleep(0.01)
        found.append(name)

    async with anyio.create_task_group() as group:
        await group.start(child, "child")
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep(60)
    send, receive = anyio.create_memory_object_stream(1)
    async with anyio.create_task_group() as group:
        group.start_soon(send.send, "stream")
        found.append(await receive.receive())
    send.close(), receive.close()
    found += [scope.cancelled_caught, await anyio.to_thread.run_sync(threading.get_ident) != threading.get_ident()]
    found.append(await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 0)))
    async with anyio.create_task_group() as group:
        group.cancel_scope.cancel()
    return [*found, anyio.get_current_task().id == id(asyncio.current_task())]


@page
async def processes():
    async def run(number):
        child = await asyncio.create_subprocess_exec(
            "sh", "-c", f"cat; echo err >&2; exit {number}", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE)
        out, err = await child.communicate(b"x" * 200_000)
        return [len(out), err.decode(), child.returncode]

    killed = await asyncio.create_subprocess_shell("exec sleep 60")
    killed.kill()
    return [*await asyncio.gather(*(run(number) for number in range(5))), await killed.wait()]


@page
async def blocking_process():
    import subprocess

    return [subprocess.run(["sh", "-c", "exit 3"]).returncode, await asyncio.to_thread(subprocess.call, ["false"])]


@page
async def signals():
    seen, loop = [], asyncio.get_running_loop()
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        came = asyncio.Event()
        loop.add_signal_handler(number, came.set)
        signal.setitimer(signal.ITIMER_REAL, 0.01) if number == signal.SIGALRM else os.kill(os.getpid(), number)
        await asyncio.wait_for(came.wait(), 10)
        seen.append(number.name)
        loop.remove_signal_handler(number)
    return seen


@page
async def network():
    """A server and a client of the app's own, in its loop."""
    async def serve(reader, writer):
        writer.write(await reader.read(100))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"round trip")
        data = await reader.read()
        writer.close()
        await writer.wait_closed()
    return data.decode()


# Many at once.


@page
async def meet(count):
    """Waits until so many requests are here at the same time."""
    KEPT["here"] = KEPT.get("here", 0) + 1
    gate = KEPT.setdefault("gate", asyncio.Event())
    if KEPT["here"] == int(count):
        gate.set()
    await gate.wait()
    await asyncio.sleep(0.1)
    return KEPT["here"]


@page
async def spin(threads="2"):
    """Keeps threads busy with Python code until told to stop."""
    def work():
        end = time.monotonic() + 30
        while time.monotonic() < end and not KEPT.get("stop"):
            sum(range(1000))
        note("spun out", time.monotonic() >= end)

    for _ in range(int(threads)):
        threading.Thread(target=work, daemon=True).start()


@page
async def stop_spinning():
    KEPT["stop"] = True


# What goes wrong.


@page
async def exceptions(how):
    loop = asyncio.get_running_loop()
    if how == "callback":
        loop.call_soon(lambda: 1 / 0)
    if how == "task":
        task = asyncio.create_task(PAGES["/fail"]())
        await asyncio.wait([task])
        del task
    if how == "future":
        loop.create_future().set_exception(ValueError("never retrieved"))
    await asyncio.sleep(0.01)


@page
async def fail():
    raise ZeroDivisionError("on purpose")


@page
async def leave(how):
    raise {"exit": SystemExit(0), "exit-3": SystemExit(3), "interrupt": KeyboardInterrupt()}[how]


@page
async def leave_in_a_task(how):
    task = asyncio.create_task(PAGES["/leave"](how))
    await asyncio.wait([task])


@page
async def cancel_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(60)


# The end.


@page
async def leave_things_open():
    """A generator in the middle, a job in the executor, a task: each notes its end."""
    async def count():
        try:
            for number in range(100):
                yield number
        finally:
            await asyncio.sleep(0)
            note("generator closed")

    async def work():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            note("task cancelled")
            raise

    def job():
        while not Path("let-go").exists():
            time.sleep(0.01)
        note("job done")

    KEPT["generator"] = count()
    await anext(KEPT["generator"])
    KEPT["work"] = asyncio.create_task(work())
    KEPT["job"] = asyncio.get_running_loop().run_in_executor(None, job)


@page
async def ticks():
    return KEPT.get("ticks", 0)
