"""Real proxies: nginx and Apache with the files of deploy/, unprivileged, on free ports, in a folder of their own."""

import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

from .client import Client, request
from .load import Load
from .procs import alive, children, in_session
from .server import STARTED, until

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_NOBODY = 65534
"""The user and the group that own nothing; root's proxies run under them."""
_APACHE_MODULES = Path("/usr/lib/apache2/modules")
_NGINX_MODULES = Path("/usr/lib/nginx/modules")


def need(*commands, packages):
    """Skips the test where a command is missing; in continuous integration that is a failure."""
    missing = [command for command in commands if not shutil.which(command, path=_PATH) and not Path(command).exists()]
    if missing:
        reason = f"{', '.join(missing)} is missing; install it with: apt-get install {packages}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


_GIVEN = set()
_PLACES = 16
"""So many processes of pytest have ports of their own."""


def free_port():
    """A port that nobody listens on, below those that the kernel gives to clients and to who asks for any; each but once."""
    place = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % _PLACES
    while True:
        port = random.randrange(10000 + place, 30000, _PLACES)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def replaced(text, *pairs):
    """The text with each pattern replaced, every one of which must be there."""
    for pattern, replacement in pairs:
        text, count = re.subn(pattern, lambda match: match.expand(replacement), text)
        assert count, f"{pattern!r} is not in the file"
    return text


def open_folder():
    """A folder that every user may enter and that is short enough for the path of a socket."""
    folder = Path(tempfile.mkdtemp(prefix="proxy-"))
    folder.chmod(0o755)
    return folder


class Proxy:
    """One running proxy. It believes itself to be example.com; its plain port only redirects, as production has it."""

    def __init__(self, server, folder):
        self.server, self.folder, self.port, self.plain_port = server, folder, free_port(), free_port()
        (folder / "static").mkdir()
        (folder / "static" / "style.css").write_text("body {}\n")
        self._certify()
        self.tls = self.context()
        command = self._prepare()
        self._as = {}
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                if not path.is_socket():
                    shutil.chown(path, _NOBODY, _NOBODY)
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        with open(folder / "stderr.log", "wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, env=self._environment(), **self._as)
        self.pid = self.process.pid
        STARTED.append(self)
        try:
            until(self._serves, f"{command[0]} serves", 20)
        except AssertionError:
            self.close()
            raise

    def _certify(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=example.com", "-addext", "subjectAltName=DNS:example.com",
                        "-keyout", "privkey.pem", "-out", "fullchain.pem"],
                       cwd=self.folder, check=True, capture_output=True)

    def context(self):
        """TLS for a client that believes in this proxy's certificate."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.load_verify_locations(self.folder / "fullchain.pem")
        return tls

    def _environment(self):
        return {"PATH": _PATH}

    def _serves(self):
        assert self.process.poll() is None, f"it left: {self.log}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except ConnectionRefusedError:
            return False
        return True

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def log(self):
        """Everything that it wrote to its logs."""
        return "".join(path.read_text("utf-8", "replace") for path in sorted(self.folder.glob("*.log")))

    # Speaking to it, over TLS.

    def connect(self, **options):
        """A raw connection."""
        return Client(self.address, tls=self.tls, **options)

    def request(self, method, target, headers=(), body=None, **options):
        """One request on a connection of its own."""
        return request(self.address, method, target, headers, body, tls=self.tls, **options)

    def get(self, target="/", headers=(), **options):
        """One GET on a connection of its own."""
        return self.request("GET", target, headers, **options)

    def load(self, path="/", **options):
        """A bounded stream of requests beside a test."""
        return Load(self.address, path, tls=self.tls, **options)

    # Its life.

    def reload(self):
        """Has it read its files again, and waits until none of its old processes is left."""
        old = children(self.pid)
        os.kill(self.pid, self.RELOAD)
        until(lambda: children(self.pid) and not set(old) & set(children(self.pid)), "new processes of the proxy", 30)

    def close(self):
        """Stops it, and removes its folder unless something is wrong."""
        try:
            if self.process.poll() is None:
                os.kill(self.pid, signal.SIGTERM)
            self.process.wait(15)
            until(lambda: not in_session(self.pid), "processes of the proxy are left behind", 5)
        finally:
            for pid in in_session(self.pid):
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _upstream(self):
        """Where Ferricorn listens: `HOST:PORT` or a path."""
        address = self.server.address
        return address if isinstance(address, str) else f"{address[0]}:{address[1]}"


class Nginx(Proxy):
    """nginx with deploy/nginx."""

    RELOAD = signal.SIGHUP
    PACKAGES = "nginx libnginx-mod-stream openssl"

    @staticmethod
    def require():
        need("nginx", "openssl", packages=Nginx.PACKAGES)

    def _listening(self):
        """What the tests change in a file's `listen` lines."""
        if _has_ipv6():
            return [(r"listen \[::\]:80\b", f"listen [::1]:{self.plain_port}"),
                    (r"listen \[::\]:443\b", f"listen [::1]:{self.port}"),
                    (r"listen 80\b", f"listen 127.0.0.1:{self.plain_port}"),
                    (r"listen 443\b", f"listen 127.0.0.1:{self.port}")]
        return [(r"listen \[::\].*\n", "\n"), (r"listen 80\b", f"listen 127.0.0.1:{self.plain_port}"),
                (r"listen 443\b", f"listen 127.0.0.1:{self.port}")]

    def _prepare(self):
        upstream = self._upstream()
        site = replaced((DEPLOY / "nginx/mysite.conf").read_text(), *self._listening(),
                        (r"server 127\.0\.0\.1:8000;", f"server {'unix:' if upstream[0] == '/' else ''}{upstream};"),
                        ("/etc/ssl/mysite", str(self.folder)), ("/srv/mysite", str(self.folder)),
                        (r"(?m)^    location / \{", "    include mounted.conf;\n\\g<0>"))
        (self.folder / "mysite.conf").write_text(site)
        (self.folder / "snippets").mkdir()
        shutil.copy(DEPLOY / "nginx/ferricorn.conf", self.folder / "snippets")
        shutil.copy(DEPLOY / "nginx/mounted.conf", self.folder)
        return self._run("""
http {
    access_log access.log;
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    include mysite.conf;
}
""")

    def _run(self, blocks):
        """The command that runs nginx with these blocks."""
        (self.folder / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr info;
events {{}}
{blocks}""")
        return ["nginx", "-p", str(self.folder), "-c", "nginx.conf", "-e", "stderr"]


class NginxStream(Nginx):
    """nginx as a TCP balancer with deploy/nginx/proxy-protocol.conf. What it passes on is not encrypted."""

    @staticmethod
    def require():
        need("nginx", "openssl", str(_NGINX_MODULES / "ngx_stream_module.so"), packages=Nginx.PACKAGES)

    def _prepare(self):
        self.plain_port, self.tls = self.port, None
        stream = replaced((DEPLOY / "nginx/proxy-protocol.conf").read_text(),
                          *(pair for pair in self._listening() if "443" not in pair[0]),
                          (r"server 127\.0\.0\.1:8000;", f"server {self._upstream()};"))
        (self.folder / "proxy-protocol.conf").write_text(stream)
        return self._run("include proxy-protocol.conf;")

    def _run(self, blocks):
        command = super()._run(blocks)
        main = self.folder / "nginx.conf"
        main.write_text(f"load_module {_NGINX_MODULES}/ngx_stream_module.so;\n{main.read_text()}")
        return command


class Apache(Proxy):
    """Apache with deploy/apache."""

    RELOAD = signal.SIGUSR1
    PACKAGES = "apache2-bin openssl"
    _MODULES = ("mpm_event", "authz_core", "env", "alias", "headers", "proxy", "proxy_http", "ssl", "http2")

    @staticmethod
    def require():
        need("apache2", "openssl", packages=Apache.PACKAGES)

    def _prepare(self):
        upstream = self._upstream()
        unix = upstream[0] == "/"
        backend = [(r'"http://127\.0\.0\.1:8000/([^"]*)"',
                    rf'"unix:{upstream}|http://ferricorn/\1"' if unix else rf'"http://{upstream}/\1"')]
        site = replaced((DEPLOY / "apache/mysite.conf").read_text(), *backend,
                        (r"\*:80>", f"*:{self.plain_port}>"), (r"\*:443>", f"*:{self.port}>"),
                        ("/etc/ssl/mysite", str(self.folder)), ("/srv/mysite", str(self.folder)),
                        (r'(?m)^    ProxyPass "/" ', "    Include mounted.conf\n\\g<0>"))
        (self.folder / "mysite.conf").write_text(site)
        (self.folder / "mounted.conf").write_text(replaced((DEPLOY / "apache/mounted.conf").read_text(), *backend))
        modules = "\n".join(f"LoadModule {name}_module {_APACHE_MODULES}/mod_{name}.so" for name in self._MODULES)
        (self.folder / "httpd.conf").write_text(f"""
ServerRoot {self.folder}
ServerName example.com
{modules}
DefaultRuntimeDir {self.folder}
PidFile httpd.pid
Mutex pthread
Listen 127.0.0.1:{self.plain_port}
Listen 127.0.0.1:{self.port}
StartServers 1
ErrorLog error.log
LogLevel info
Include mysite.conf
""")
        return ["apache2", "-d", str(self.folder), "-f", "httpd.conf", "-DFOREGROUND"]
