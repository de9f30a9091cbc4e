"""What the small benches have in common: the flags that choose servers, and what is to be done before the first of them runs."""

import os
import sys

from . import catalog, prepare
from .servers import cores


def parse(parser, able):
    """The options of a bench, whose `servers` are those of the able ones that were chosen."""
    names = ", ".join(server.name for server in able)
    parser.add_argument("--servers", type=lambda text: text.split(","), help=f"of {names}")
    parser.add_argument("--wheel", help="a wheel of ferricorn, instead of building one")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that all servers use")
    options = parser.parse_args()
    options.servers = catalog.choose(able, options.servers, parser.error)
    return options


def wsgi(names):
    """The servers of WSGI apps that bear these names."""
    return [server for server in catalog.WSGI if server.name in names]


def ready(options, pin=True):
    """Installs what is to be measured, puts this process on a core of its own unless `pin` is false, and gives the servers' core."""
    server_core, own_core = cores()
    prepare.peers(options.python)
    if any(server.is_ours for server in options.servers):
        prepare.ferricorn(options.wheel)
    if pin:
        os.sched_setaffinity(0, {own_core})
    return server_core
