"""Slow clients of four kinds, many at once."""

import threading

from .client import Client

HALF_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY_HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
STREAM = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"

SIZES = {"heads": 200, "silent": 200, "bodies": 100, "stalled": 30}
"""How many there are of each kind: half-sent heads, connections without a byte, bodies that come byte by byte, and
clients that ask for `/stream` and do not read on."""


class Crowd:
    """The clients of the chosen kinds, in lists of those names. They stay until the block ends."""

    def __init__(self, address, *kinds, drip=0.2):
        self._address, self._kinds, self._drip = address, kinds or tuple(SIZES), drip
        self.heads, self.silent, self.bodies, self.stalled = [], [], [], []
        self._stop = threading.Event()
        self._dripping = threading.Thread(target=self._drip_on, daemon=True)

    def __enter__(self):
        try:
            for kind in self._kinds:
                for _ in range(SIZES[kind]):
                    client = Client(self._address, receive_buffer=4096 if kind == "stalled" else None)
                    getattr(self, kind).append(client)
                    getattr(self, "_begin_" + kind)(client)
        except BaseException:
            self._close()
            raise
        self._dripping.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._dripping.join()
        self._close()

    def __len__(self):
        return len(self.heads) + len(self.silent) + len(self.bodies) + len(self.stalled)

    def _close(self):
        for client in (*self.heads, *self.silent, *self.bodies, *self.stalled):
            client.close()

    def _begin_heads(self, client):
        client.send(HALF_HEAD)

    def _begin_silent(self, client):
        pass

    def _begin_bodies(self, client):
        client.send(BODY_HEAD)

    def _begin_stalled(self, client):
        client.send(STREAM)

    def _drip_on(self):
        """A byte to each body, again and again; one that was answered gets no more."""
        dripping = list(self.bodies)
        while dripping and not self._stop.wait(self._drip):
            for client in list(dripping):
                try:
                    client.send(b"x")
                except OSError:
                    dripping.remove(client)
