"""Stands in for the package `gunicorn` where it is not installed: what configurations and programs import of it.

Every process of the server has this module. So it has no base classes of `importlib.abc`, whose import brings in
`inspect`, `tempfile`, `typing` and thirty others: 3 MiB and 20 ms.
"""

import importlib
import importlib.machinery
import sys

from ferricorn import __version__

_VERSION = (27, 0, 1)


class _Loader:
    """Gives `gunicorn.x` the module `ferricorn.x`, so that there is one of each."""

    def create_module(self, spec):
        if spec.name == "gunicorn":
            return None
        module = importlib.import_module(_ours(spec.name))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module):
        if module.__name__ == "gunicorn":
            module.version_info, module.__version__ = _VERSION, ".".join(map(str, _VERSION))
            module.SERVER = "ferricorn"
            module.SERVER_SOFTWARE = f"ferricorn/{__version__}"
        else:
            module.__spec__ = module.__spec__.loader_state


class _Finder:
    """Asked last, so that a gunicorn that is installed is found first."""

    def find_spec(self, name, path=None, target=None):
        if name == "gunicorn":
            return importlib.machinery.ModuleSpec(name, _Loader(), is_package=True)
        if not name.startswith("gunicorn."):
            return None
        from importlib.util import find_spec

        found = find_spec(_ours(name))
        return found and importlib.machinery.ModuleSpec(name, _Loader(), is_package=found.submodule_search_locations is not None)


def _ours(name):
    return "ferricorn" + name.removeprefix("gunicorn")


def register():
    """Lets the names be imported from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
