"""A bounded stream of requests beside a test, and what became of each."""

import threading
import time

from .client import Client, Unanswered


class Load:
    """Clients that ask for one path again and again, until the block ends or `limit` requests were sent.

    A connection whose last response says that it closes is opened anew, or with `reconnect` false its client ends.
    Everything that is not a 200 counts as a failure. With a body the requests are POSTs; `options` are the client's.
    """

    def __init__(self, address, path="/", clients=4, keepalive=True, reconnect=True, limit=20000, seconds=30,
                 body=None, **options):
        self.address, self.keepalive, self.reconnect, self._options = address, keepalive, reconnect, options
        self._request = (
            f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\n"
            + ("" if keepalive else "Connection: close\r\n")
            + ("" if body is None else f"Content-Length: {len(body)}\r\n")
            + "\r\n"
        ).encode() + (body or b"")
        self._each, self._until = limit // clients, time.monotonic() + seconds
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        self.answered, self.refused, self.failures, self.bodies = 0, 0, [], set()
        self._lock = threading.Lock()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        """Lets each client end its request, and waits for them."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a client hangs"

    def wait_answered(self, count, timeout=20):
        """Waits for so many more answers."""
        goal, end = self.answered + count, time.monotonic() + timeout
        while self.answered < goal:
            assert time.monotonic() < end, f"{self.answered} of {goal} answers; failures: {self.failures[:5]}"
            time.sleep(0.005)

    def _run(self):
        client = None
        for _ in range(self._each):
            if self._stop.is_set() or time.monotonic() > self._until:
                break
            if client is None:
                try:
                    client = Client(self.address, timeout=20, **self._options)
                except (ConnectionRefusedError, FileNotFoundError):
                    with self._lock:
                        self.refused += 1
                    self._stop.wait(0.02)
                    continue
                except OSError as error:
                    self._fail(f"connect: {error}")
                    continue
            client = self._ask(client)
            if client is None and not self.reconnect:
                break
        if client is not None:
            client.close()

    def _ask(self, client):
        try:
            response = client.send(self._request).response()
        except (OSError, Unanswered) as error:
            self._fail(repr(error))
            client.close()
            return None
        with self._lock:
            self.answered += 1
            self.bodies.add(response.body)
            if response.status != 200:
                self.failures.append(f"status {response.status}: {response.body[:200]!r}")
        if not self.keepalive or response.header("connection", "").lower() == "close":
            client.close()
            return None
        return client

    def _fail(self, what):
        with self._lock:
            self.failures.append(what)
