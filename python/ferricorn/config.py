"""`Config`, the settings of a program that embeds the server, with what `gunicorn.config` has for it."""

import os

from ferricorn import _native


class Setting:
    """One setting: what it is called, its default, and the value that a program gave it."""

    def __init__(self, name, section, flags, default, desc):
        self.name, self.section, self.cli, self.default, self.desc = name, section, flags or None, default, desc
        self.value, self.order = default, 0
        self.short = desc.partition(". ")[0]

    def get(self):
        """The value."""
        return self.value

    def set(self, value):
        """Gives it a value; whether that will do is said when the server starts, with all else that is wrong."""
        self.value = value


def make_settings(ignore=None):
    """All settings by name, but those to be ignored."""
    return {name: Setting(name, *rest) for name, *rest in _native.settings() if name not in (ignore or ())}


KNOWN_SETTINGS = list(make_settings().values())


class Config:
    """The settings as attributes; `set` gives one a value."""

    def __init__(self, usage=None, prog=None):
        self.settings, self.usage, self.prog = make_settings(), usage, prog
        self.given = {}

    def __getattr__(self, name):
        settings = self.__dict__.get("settings", {})
        if name not in settings:
            raise AttributeError(f"No configuration setting for: {name}")
        return settings[name].get()

    def __setattr__(self, name, value):
        if name != "settings" and name in self.__dict__.get("settings", {}):
            raise AttributeError("Invalid access!")
        super().__setattr__(name, value)

    def set(self, name, value):
        """Gives the setting of that name a value."""
        if name not in self.settings:
            raise AttributeError(f"No configuration setting for: {name}")
        self.settings[name].set(value)
        self.given[name] = value


def get_default_config_file():
    """The path of `gunicorn.conf.py` in the current directory, if there is one."""
    path = os.path.join(os.path.abspath(os.getcwd()), "gunicorn.conf.py")
    return path if os.path.exists(path) else None
