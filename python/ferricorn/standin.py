"""Stands in for the package `gunicorn` where it is not installed: configurations import it for its loggers."""

import importlib.abc
import importlib.machinery
import sys

from ferricorn import __version__

_VERSION = (27, 0, 1)


class _Loader(importlib.abc.Loader):
    def create_module(self, spec):
        if spec.name == "gunicorn.glogging":
            from ferricorn import glogging
            return glogging
        return None

    def exec_module(self, module):
        if module.__name__ == "gunicorn":
            module.version_info, module.__version__ = _VERSION, ".".join(map(str, _VERSION))
            module.SERVER = "ferricorn"
            module.SERVER_SOFTWARE = f"ferricorn/{__version__}"


class _Finder(importlib.abc.MetaPathFinder):
    """Asked last, so that a gunicorn that is installed is found first."""

    def find_spec(self, name, path=None, target=None):
        if name in ("gunicorn", "gunicorn.glogging"):
            return importlib.machinery.ModuleSpec(name, _Loader(), is_package=name == "gunicorn")
        return None


def register():
    """Lets the names be imported from now on."""
    sys.meta_path.append(_Finder())
