"""Python source that hides the package gunicorn, which is installed for the tests, from what comes after it."""

HIDE_GUNICORN = """
import sys


class Hide:
    def __init__(self, finder):
        self.find_spec = lambda name, *where: None if name.partition(".")[0] == "gunicorn" else finder.find_spec(name, *where)


sys.meta_path[:] = [Hide(finder) if getattr(finder, "__name__", "") == "PathFinder" else finder for finder in sys.meta_path]
"""
