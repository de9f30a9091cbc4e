"""Starts FastPySGI, whose command line has no way to turn Nagle's algorithm off: `run_fastpysgi.py APP PORT`."""

import importlib
import sys

import fastpysgi

module, _, attribute = sys.argv[1].partition(":")
fastpysgi.server.tcp_nodelay = 1
fastpysgi.run(getattr(importlib.import_module(module), attribute), host="127.0.0.1", port=int(sys.argv[2]))
