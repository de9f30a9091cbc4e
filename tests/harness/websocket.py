"""A WebSocket client in literal frames: what an honest client sends, and what none would (RFC 6455)."""

import struct
from dataclasses import dataclass

from .client import Client

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The key of the RFC's example, and the answer to it (section 1.3)."""

_MASK = bytes.fromhex("37fa213d")
_HANDSHAKE = [("Host", "localhost"), ("Connection", "Upgrade"), ("Upgrade", "websocket"),
              ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", KEY)]


def handshake(target="/", *more, method="GET", version="1.1", without=()):
    """A request for a WebSocket, with more fields and without some of the usual ones."""
    lines = [f"{method} {target} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in (*_HANDSHAKE, *more) if (name, value) in more or name not in without]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def masked(payload):
    """The payload under the client's mask."""
    mask = _MASK * (len(payload) // 4 + 1)
    length = len(payload)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask[:length], "big")).to_bytes(length, "big")


def frame(opcode, payload=b"", fin=True, reserved=0, mask=True, length=None):
    """One frame. `length` may lie."""
    length = len(payload) if length is None else length
    form = length if length < 126 else 126 if length < 65536 else 127
    more = {126: ">H", 127: ">Q"}.get(form)
    head = bytes([fin << 7 | reserved << 4 | opcode, mask << 7 | form]) + (struct.pack(more, length) if more else b"")
    return head + (_MASK + masked(payload) if mask else payload)


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


@dataclass
class Frame:
    """One frame of the server."""

    fin: bool
    reserved: int
    opcode: int
    payload: bytes

    @property
    def closing(self):
        """The code and the reason of a close frame."""
        assert self.opcode == CLOSE, self
        return (struct.unpack(">H", self.payload[:2])[0], self.payload[2:].decode()) if self.payload else (1005, "")


class WebSocket(Client):
    """One connection that asks for a WebSocket. `answer` is what it got; anything but 101 is read whole, and then there is no
    talk."""

    def __init__(self, address, target="/", *fields, **options):
        super().__init__(address, **options)
        self.answer = self.send(handshake(target, *fields)).read_head()
        if self.answer.status != 101:
            self.read_body(self.answer)

    def say(self, message):
        """Sends a message in one frame: text or bytes."""
        return self.send(frame(TEXT, message.encode()) if isinstance(message, str) else frame(BINARY, message))

    def read_frame(self):
        """The next frame of the server, which must keep its own rules: no mask, and the shortest length."""
        assert self.answer.status == 101, self.answer
        first, second = self.read_exactly(2)
        assert not second & 0x80, "a server masks nothing"
        length = second
        if second > 125:
            length = int.from_bytes(self.read_exactly(2 if second == 126 else 8), "big")
            assert length > (125 if second == 126 else 65535), f"{length} is told in more bytes than needed"
        assert first & 15 < 8 or (length < 126 and first & 0x80), "a control frame is short and whole"
        return Frame(first >= 0x80, first >> 4 & 7, first & 15, self.read_exactly(length))

    def hear(self):
        """The next message, whole."""
        first = self.read_frame()
        assert first.opcode in (TEXT, BINARY) and not first.reserved, f"no message: {first}"
        data, last = first.payload, first
        while not last.fin:
            last = self.read_frame()
            assert last.opcode == CONTINUATION, last
            data += last.payload
        return data.decode() if first.opcode == TEXT else data

    def bye(self, code=1000, reason=""):
        """Closes as a client should: sends its close frame, and returns the code and reason of the server's."""
        return self.send(frame(CLOSE, close_payload(code, reason.encode()))).farewell(answered=True)

    def farewell(self, answered=False):
        """Waits for the server's close frame, answers it, and insists that the stream ends then. Skips what comes before."""
        while (end := self.read_frame()).opcode != CLOSE:
            pass
        if not answered:
            self.send(frame(CLOSE, end.payload))
        assert self.at_end(), "the stream goes on after the close frame"
        return end.closing
