"""Ferricorn, an application server for Python web apps: write `ferricorn` where it said `gunicorn`."""

from ferricorn._native import __version__

__all__ = ["__version__"]
