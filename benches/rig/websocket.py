"""A client of WebSockets (RFC 6455), as small as measurements of memory need: it costs little, and reads when told."""

import base64
import hashlib
import os
import socket
import zlib

from .servers import Fault

_DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def connect(port, deflate=False, patience=10):
    """An open WebSocket, as its socket. `deflate` offers to compress messages, as browsers do."""
    client = socket.create_connection(("127.0.0.1", port), timeout=patience)
    key = base64.b64encode(os.urandom(16))
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n%b\r\n" % (port, key, _DEFLATE if deflate else b"")
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := client.recv(1)):
            raise Fault("the connection ended in the handshake")
        head += byte
    proof = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    if not head.startswith(b"HTTP/1.1 101 ") or proof not in head:
        raise Fault(f"no WebSocket: {head[:60]!r}")
    return client


def say(client, text):
    """Sends a text of at most 125 bytes. The mask is zero, as it may be."""
    client.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)


def listen(client):
    """The payload of the next message; None for the end. Of compressed messages only the first can be read."""
    message, compressed = b"", 0
    while True:
        first, second = _exactly(client, 2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(_exactly(client, 2 if size == 126 else 8))
        payload = _exactly(client, size)
        if first & 0x0F == 8:
            return None
        # A ping or a pong may stand between the fragments of a message.
        if first & 0x0F < 8:
            message += payload
            compressed |= first & 0x40
            if first & 0x80:
                # RFC 7692 section 7.2.2: the end of a block was left out.
                return zlib.decompressobj(-15).decompress(message + b"\0\0\xff\xff") if compressed else message


def _exactly(client, size):
    data = bytearray()
    while len(data) < size:
        if not (piece := client.recv(size - len(data))):
            raise Fault("the connection ended in the middle of a message")
        data += piece
    return bytes(data)
