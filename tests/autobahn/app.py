"""The ASGI app that Autobahn's client talks to: it sends back what it gets."""


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        content = {"text": text} if text is not None else {"bytes": message["bytes"]}
        await send({"type": "websocket.send", **content})
