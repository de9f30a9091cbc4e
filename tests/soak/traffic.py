"""Numbered requests of many kinds from many clients, and whether each was answered once and rightly."""

import random
import threading
from collections import Counter

from harness import Client, Unanswered

STREAM = 5
"""Pieces of a stream."""

UPLOAD = 40000
"""Bytes of an upload."""

LATE = {"late", "stuck"}
"""What the deadline of the request ends."""


class Traffic:
    """Sixteen clients at most, that ask in phases. What is wrong with an answer stands in `faults`."""

    def __init__(self, address, seed):
        self.address, self._dice = address, random.Random(seed)
        self.asked, self.answers, self.repeated, self.faults = Counter(), Counter(), set(), []
        self.left = set()
        """Numbers of streams whose client went away in the middle."""
        self._lock, self._number = threading.Lock(), 0
        self._kept = []

    def phase(self, kinds, clients, seconds):
        """So many clients ask for these kinds, at random, for that long; returns when each has its last answer."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._client, args=(kinds, stop, self._dice.random())) for _ in range(clients)]
        for thread in threads:
            thread.start()
        stop.wait(seconds)
        stop.set()
        for thread in threads:
            thread.join()

    def close(self):
        """Ends the connections that the last phase left open."""
        for client in self._kept:
            client.close()
        self._kept.clear()

    def _client(self, kinds, stop, seed):
        dice, client = random.Random(seed), None
        with self._lock:
            if self._kept:
                client = self._kept.pop()
        while not stop.is_set():
            kind = dice.choice(kinds)
            with self._lock:
                self._number += 1
                number = self._number
                self.asked[kind] += 1
            try:
                client = self._ask(client, kind, number, dice)
            except (OSError, AssertionError) as error:
                self._wrong(kind, number, repr(error))
                client = None
            if client and dice.random() < 0.05:
                client.close()
                client = None
        if client:
            with self._lock:
                self._kept.append(client)

    def _ask(self, client, kind, number, dice):
        """The client, if its connection may be used again."""
        request = f"GET /{kind}?{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        if kind == "upload":
            request = f"POST /upload?{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {UPLOAD}\r\n\r\n".encode()
            request += b"u" * UPLOAD
        if client:
            try:
                head = client.send(request).read_head()
            except (OSError, Unanswered) as error:
                # The server may end an idle connection while a request is on its way to it: then nobody has seen it.
                if "silence" in str(error):
                    raise
                client.close()
                with self._lock:
                    self.repeated.add(number)
                client = None
        if not client:
            client = Client(self.address, timeout=30)
            head = client.send(request).read_head()
        if kind == "stream" and head.status == 200 and dice.random() < 0.1:
            client.read_chunk()
            client.close()
            with self._lock:
                self.left.add(number)
            return None
        answer = client.read_body(head)
        with self._lock:
            self.answers[answer.status] += 1
        wanted = 504 if kind in LATE else 200
        if answer.status != wanted or wanted == 200 and answer.body != body(kind, number):
            self._wrong(kind, number, f"{answer.status} {answer.body[:60]!r}")
        if answer.header("connection", "").lower() == "close":
            client.close()
            return None
        return client

    def _wrong(self, kind, number, what):
        with self._lock:
            self.faults.append(f"{kind} {number}: {what}")


def body(kind, number):
    """The right one."""
    return f"{number} ".encode() * STREAM if kind == "stream" else f"{number} {kind}".encode()
