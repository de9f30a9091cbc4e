"""A stand-in for a syslog or statsd daemon: it keeps what it is sent."""

import socket
import threading

from .server import until


class Daemon:
    """Takes datagrams, or streams whose messages end with a certain byte, until it is closed."""

    def __init__(self, path=None, stream=False, end=b"\n"):
        family = socket.AF_UNIX if path else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        self._socket.bind(str(path) if path else ("127.0.0.1", 0))
        self._end, self._connections, self._texts = end, [], []
        if stream:
            self._socket.listen(16)
        self._thread = threading.Thread(target=self._accept if stream else self._receive, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for one in [self._socket, *self._connections]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    @property
    def port(self):
        return self._socket.getsockname()[1]

    @property
    def messages(self):
        """All whole messages so far, without what ends them."""
        return list(self._texts)

    def wait_for(self, true, what):
        """Waits for a message for which the function is true, and returns it."""
        def found():
            return next(([message] for message in self.messages if true(message)), None)

        return until(found, f"{what} among {self.messages}")[0]

    def _keep(self, message):
        # gunicorn, by way of Python, ends each message with a NUL.
        self._texts.append(message.rstrip(b"\0").decode())

    def _receive(self):
        while True:
            try:
                self._keep(self._socket.recv(65536))
            except OSError:
                return

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        rest = b""
        try:
            while data := connection.recv(65536):
                *whole, rest = (rest + data).split(self._end)
                for message in whole:
                    self._keep(message)
        except OSError:
            pass
