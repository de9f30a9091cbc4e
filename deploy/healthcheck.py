"""Exits with 0 if the server in this container answers a request with less than 500: the image has no curl.

The port is PORT's, the path HEALTH_PATH's or `/`.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

try:
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=3)
    connection.request("GET", os.environ.get("HEALTH_PATH", "/"), headers={"User-Agent": "healthcheck"})
    status = connection.getresponse().status
except (OSError, HTTPException) as error:
    sys.exit(f"no answer: {error!r}")
sys.exit(f"status {status}" if status >= 500 else 0)
