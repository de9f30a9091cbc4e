"""A client that sends literal bytes and reads literal answers."""

import socket
from dataclasses import dataclass, field


class Unanswered(AssertionError):
    """The connection ended, or stayed silent, before a whole response had come."""


@dataclass
class Response:
    """One parsed response. `raw` holds the head as it came."""

    version: str
    status: int
    reason: str
    headers: list
    body: bytes = b""
    raw: bytes = b""
    pieces: list = field(default_factory=list)

    def all(self, name):
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name, default=None):
        """The only value of a header."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else default

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        import json

        return json.loads(self.body)


class Client:
    """One connection, over TLS if there is a context. Every wait ends at the timeout, in seconds."""

    def __init__(self, address, timeout=15.0, receive_buffer=None, source=None, tls=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if isinstance(address, tuple) and ":" in address[0]:
            family = socket.AF_INET6
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="example.com")
        self._buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """Sends all bytes, and returns self so that calls chain."""
        self.socket.sendall(data)
        return self

    def finish(self):
        """Shuts the writing side down: no more bytes will come from us."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def read_some(self):
        """The next bytes, whatever they are; empty at the end of the stream."""
        return self._take(len(self._buffer)) if self._buffer else self.socket.recv(65536)

    def _take(self, count):
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _so_far(self):
        return f"so far: {bytes(self._buffer[:2000])!r}"

    def _fill(self, what, most=65536):
        try:
            data = self.socket.recv(most)
        except TimeoutError:
            raise Unanswered(f"silence while waiting for {what}; {self._so_far()}") from None
        except ConnectionError as error:
            raise Unanswered(f"{error} while waiting for {what}; {self._so_far()}") from None
        if not data:
            raise Unanswered(f"end of stream while waiting for {what}; {self._so_far()}")
        self._buffer += data

    def read_until(self, mark):
        """All bytes up to and including the mark."""
        while mark not in self._buffer:
            self._fill(mark)
        return self._take(self._buffer.index(mark) + len(mark))

    def read_exactly(self, count):
        while (missing := count - len(self._buffer)) > 0:
            self._fill(f"{count} bytes", max(missing, 65536))
        return self._take(count)

    def read_to_end(self):
        """All bytes up to the end of the stream."""
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except TimeoutError:
                raise Unanswered(f"the connection stays open; {self._so_far()}") from None
            if not data:
                return self._take(len(self._buffer))
            self._buffer += data

    def read_head(self):
        """A response without its body."""
        raw = self.read_until(b"\r\n\r\n")
        line, *fields = raw[:-4].decode("latin-1").split("\r\n")
        version, status, *reason = line.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (entry.partition(":") for entry in fields)]
        return Response(version, int(status), reason[0] if reason else "", headers, raw=raw)

    def read_chunk(self):
        """One chunk of a chunked body; empty for the last."""
        size = int(self.read_until(b"\r\n").split(b";")[0], 16)
        data = self.read_exactly(size)
        assert self.read_exactly(2) == b"\r\n", "a chunk does not end with CRLF"
        return data

    def read_body(self, response, head_only=False):
        """Reads the body of a response by the framing that its head declares."""
        status, length = response.status, response.header("content-length")
        if head_only or status < 200 or status in (204, 304):
            return response
        if (response.header("transfer-encoding") or "").lower() == "chunked":
            while piece := self.read_chunk():
                response.pieces.append(piece)
            response.body = b"".join(response.pieces)
        elif length is not None:
            response.body = self.read_exactly(int(length))
        else:
            response.body = self.read_to_end()
        return response

    def response(self, head_only=False):
        """The next response; with `head_only` one that answers HEAD."""
        return self.read_body(self.read_head(), head_only)

    def at_end(self):
        """Whether the server ends the stream without another byte (waits for it)."""
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return not self._buffer
        except TimeoutError:
            return False


def request(address, method, target, headers=(), body=None, timeout=15.0, **options):
    """One request on a connection of its own, closed afterwards."""
    fields = [("Host", "localhost"), ("Connection", "close"), *headers]
    if body is not None and not any(name.lower() == "content-length" for name, _ in fields):
        fields.append(("Content-Length", str(len(body))))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    with Client(address, timeout, **options) as client:
        client.send(head.encode("latin-1") + (body or b""))
        return client.response(head_only=method == "HEAD")
