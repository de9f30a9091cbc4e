//! What becomes of the response that an application gives.

mod body;
mod call;
mod head;

use crate::support::Site;

/// An application that calls `start_response` with these arguments.
fn starting(arguments: &str) -> Site {
    Site::new(&format!(
        "
def app(environ, start_response):
    start_response({arguments})
    return [b'body']
"
    ))
}

/// An application that returns this, where `closed` counts the calls of `close()`.
fn returning(expression: &str) -> Site {
    Site::new(&format!(
        "
closed = 0
class Body:
    def __init__(self, items): self.items = iter(items)
    def __iter__(self): return self
    def __next__(self):
        item = next(self.items)
        if isinstance(item, BaseException): raise item
        return item
    def close(self):
        global closed
        closed += 1
def app(environ, start_response):
    start_response('200 OK', [])
    return {expression}
"
    ))
}
