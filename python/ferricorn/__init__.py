"""Ferricorn, an application server for Python web apps: write `ferricorn` where it said `gunicorn`."""

import os

# The allocator of the native part is to give back at once what idle connections have freed: it would do so at
# its next occasion, which an idle worker never has. It reads this when it is loaded; the app need not inherit it.
_PURGE = "MIMALLOC_PURGE_DELAY"
_unset = _PURGE not in os.environ
if _unset:
    os.environ[_PURGE] = "0"

from ferricorn._native import __version__  # noqa: E402

if _unset:
    del os.environ[_PURGE]

__all__ = ["__version__"]
