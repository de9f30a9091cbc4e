"""Ferricorn, an application server for Python web apps: write `ferricorn` where it said `gunicorn`."""

import os

# The allocator of the native part reads these when it is loaded; the app need not inherit them. It is to give back
# at once what idle connections have freed, for its next occasion may never come in an idle worker, and to take
# memory as it is needed: taken ahead, some 4 MiB that nobody uses stay resident.
_ALLOCATOR = {"MIMALLOC_PURGE_DELAY": "0", "MIMALLOC_ARENA_EAGER_COMMIT": "0"}
_unset = [name for name in _ALLOCATOR if name not in os.environ]
for _name in _unset:
    os.environ[_name] = _ALLOCATOR[_name]

from ferricorn._native import RequestTimeout, __version__  # noqa: E402

for _name in _unset:
    del os.environ[_name]

__all__ = ["RequestTimeout", "__version__"]
