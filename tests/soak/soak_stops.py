"""Stops under a storm of clients: how many of those whose connect(2) had returned before the end were left without an answer.

STOPS says how often the server is stopped.
"""

import os
import signal
import threading

import pytest

from harness import Client, Unanswered

STOPS = int(os.environ.get("STOPS", "20"))
CLIENTS = 16

REQUEST = b"GET /sleep?0.002 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Storm:
    """Clients that connect anew for each request until they are refused."""

    def __init__(self, address):
        self.address, self.connected, self.answered, self.lost = address, 0, 0, []
        self._lock, self._threads = threading.Lock(), [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def join(self):
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    def _run(self):
        while True:
            try:
                client = Client(self.address, timeout=20)
            except (ConnectionRefusedError, FileNotFoundError):
                return
            with self._lock:
                self.connected += 1
            try:
                response = client.send(REQUEST).response()
                assert response.body == b"slept"
                with self._lock:
                    self.answered += 1
            except (OSError, Unanswered, AssertionError) as error:
                with self._lock:
                    self.lost.append(repr(error))
            finally:
                client.close()


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:app.sock"])
@pytest.mark.parametrize("flags", [["-w", "2"], ["-w", "2", "-k", "gthread", "--threads", "4"]], ids=["async", "gthread"])
def soak_stops(serve, flags, bind):
    connected, lost = 0, []
    for _ in range(STOPS):
        server = serve("features:app", *flags, bind=bind)
        if bind.startswith("unix:"):
            server.address = str(server.folder / server.address)
        server.wait_workers(2)
        storm = Storm(server.address)
        while storm.answered < 200:
            threading.Event().wait(0.01)
        server.send(signal.SIGTERM)
        server.wait_exit()
        storm.join()
        connected += storm.connected
        lost += storm.lost
    print(f"\n{bind} {' '.join(flags)}: {STOPS} stops, {connected} clients had connected, {len(lost)} got no answer")
    assert lost == []
