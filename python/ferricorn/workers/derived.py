"""Worker classes that are derived from uvicorn's: what they add to it, for whom `CONFIG_KWARGS` is a set of settings."""

import importlib

_PACKAGES = ("uvicorn", "uvicorn_worker")
_CLASSES = ("UvicornWorker", "UvicornH11Worker")


def load(name):
    """The class that `module.Class` or `module:Class` names."""
    module, _, attribute = name.replace(":", ".").rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def parts(kind):
    """The name of uvicorn's class that `kind` is derived from, its `CONFIG_KWARGS`, and what else of it `kind` changes;
    None for a class of another kind."""
    lineage = getattr(kind, "__mro__", ())
    for place, base in enumerate(lineage):
        if base.__name__ in _CLASSES and base.__module__.partition(".")[0] in _PACKAGES:
            changed = {name for one in lineage[:place] for name, value in vars(one).items() if _is_changed(base, name, value)}
            return f"{base.__module__}.{base.__name__}", dict(kind.CONFIG_KWARGS), sorted(changed)
    return None


def _is_changed(base, name, value):
    is_code = callable(value) or isinstance(value, (classmethod, property, staticmethod))
    return is_code and hasattr(base, name) and (name == "__init__" or not name.startswith("__"))
