"""The project of examples/django, whose answers say in a header which process has given them."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "django"))

from mysite.wsgi import application as site


def application(environ, start_response):
    def start(status, headers, exc_info=None):
        return start_response(status, [*headers, ("X-Pid", str(os.getpid()))], exc_info)

    return site(environ, start)
