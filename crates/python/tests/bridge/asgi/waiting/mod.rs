//! What asyncio can do with `receive()`: it is a coroutine to whoever asks, and several may wait at the same time.

mod given_up;
mod kinds;
mod together;

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
