"""Starts FastPySGI, whose command line takes neither a loop nor TCP_NODELAY: `run_fastpysgi.py APP PORT`."""

import importlib
import inspect
import sys

import fastpysgi

module, _, attribute = sys.argv[1].partition(":")
app = getattr(importlib.import_module(module), attribute)
if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
    import uvloop

    fastpysgi.server.loop = uvloop.new_event_loop()
fastpysgi.server.tcp_nodelay = 1
fastpysgi.run(app, host="127.0.0.1", port=int(sys.argv[2]))
