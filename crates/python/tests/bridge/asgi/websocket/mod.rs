//! A WebSocket from `websocket.connect` to `websocket.disconnect`.

mod ends;
mod handshake;
mod messages;
mod refusals;
mod waiting;

/// An application that accepts, and then does this.
fn accepting(then: &str) -> String {
    format!(
        "
async def app(scope, receive, send):
    assert await receive() == {{'type': 'websocket.connect'}}
    await send({{'type': 'websocket.accept'}})
    {}
",
        then.trim().replace('\n', "\n    ")
    )
}
