"""`BaseApplication` and `Application`: programs that start the server themselves, with gunicorn's methods."""

import argparse
import os
import sys
import traceback

from ferricorn import _native
from ferricorn.config import Config, get_default_config_file
from ferricorn.errors import ConfigError


class BaseApplication:
    """A server in a program: `load_config` sets `self.cfg`, `load` returns the app, `run` serves it and does not return.

    The environment's variables are the defaults, as they are for the command line; nothing else is read.
    """

    def __init__(self, usage=None, prog=None):
        self.usage, self.prog, self.cfg, self.callable, self.logger = usage, prog, None, None, None
        self._below, self._from_outside, self._fresh = {}, False, False
        self.do_load_config()

    def do_load_config(self):
        """Makes `self.cfg` anew; a fault ends the program."""
        try:
            self._load_config()
        except Exception as error:
            traceback.print_exc()
            print(f"\nError: {error}", file=sys.stderr, flush=True)
            sys.exit(1)

    def _load_config(self):
        self._below, self._from_outside = {}, False
        self.load_default_config()
        self.load_config()
        self._fresh = True

    def load_default_config(self):
        """Makes a `self.cfg` that nothing has set."""
        self.cfg = Config(self.usage, prog=self.prog)

    def init(self, parser, opts, args):
        """To be overridden: may return settings, which count less than a config file."""
        raise NotImplementedError

    def load(self):
        """To be overridden: returns the app."""
        raise NotImplementedError

    def load_config(self):
        """To be overridden: sets what is to be set, by `self.cfg.set(name, value)`."""
        raise NotImplementedError

    def reload(self):
        """Reads the configuration again, as a HUP does."""
        self.do_load_config()

    def wsgi(self):
        """The app, which is loaded once."""
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self):
        """Serves until a signal ends it, and ends the process."""
        given = sys.argv[1:] if self._from_outside else []
        sys.exit(_native.embed(self, [self.prog or os.path.basename(sys.argv[0]) or "ferricorn", *given]))

    def _tell(self):
        """The settings below and above a config file, and whether such a file and a command line count at all."""
        if not self._fresh:
            self._load_config()
        self._fresh = False
        return self._below, dict(self.cfg.given), self._from_outside

    def _loads(self):
        """Whether it brings the app; else the command line names it."""
        return True


class Application(BaseApplication):
    """The same with a command line, `GUNICORN_CMD_ARGS` and a config file, which count as for the command itself."""

    def load_config(self):
        """Has the command line count, and takes what `init` returns."""
        parser = argparse.ArgumentParser(prog=self.prog, usage=self.usage, add_help=False)
        self._below = dict(self.init(parser, argparse.Namespace(), []) or {})
        self._from_outside = True

    def init(self, parser, opts, args):
        """To be overridden; `opts` and `args` are empty, for the command line is read later."""

    def chdir(self):
        """Goes to the directory that `chdir` names, and lets its modules be found."""
        os.chdir(self.cfg.chdir)
        if self.cfg.chdir not in sys.path:
            sys.path.insert(0, self.cfg.chdir)

    def get_config_from_filename(self, filename):
        """The names that a config file defines."""
        if not os.path.exists(filename):
            raise RuntimeError(f"{filename!r} doesn't exist")
        names = {"__builtins__": __builtins__, "__name__": "__config__", "__file__": filename, "__doc__": None, "__package__": None}
        with open(filename, "rb") as file:
            exec(compile(file.read(), filename, "exec"), names)
        return names

    def load_config_from_module_name_or_filename(self, location):
        """Sets what a config file or a module, `python:MODULE`, defines of settings."""
        if location.startswith("python:"):
            names = vars(__import__(location.removeprefix("python:"), fromlist=["*"]))
        else:
            names = self.get_config_from_filename(location.removeprefix("file:"))
        for name, value in names.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        return names

    def load_config_from_file(self, filename):
        """The same for a file."""
        return self.load_config_from_module_name_or_filename(filename)


__all__ = ["Application", "BaseApplication", "Config", "ConfigError", "get_default_config_file"]
