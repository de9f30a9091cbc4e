"""PasteDeploy: the runner of `[server:main]` for `pserve`, and apps that an ini file describes."""

import configparser
import os

from ferricorn.app.base import get_default_config_file
from ferricorn.app.wsgiapp import WSGIApplication


def get_wsgi_app(config_uri, name=None, defaults=None):
    """The app of an ini file, `FILE` or `FILE#SECTION`."""
    from paste.deploy import loadapp
    path, _, section = config_uri.partition("#")
    return loadapp(f"config:{os.path.abspath(path)}", name or section or "main", global_conf=defaults)


def has_logging_config(config_file):
    """Whether an ini file says how to log."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([config_file])
    return parser.has_section("loggers")


def serve(app, global_conf, **local_conf):
    """The runner `use = egg:ferricorn#main`: serves with the section's settings, and the config file's that it names."""
    config_file = global_conf["__file__"]
    named = local_conf.pop("config", None) or get_default_config_file()
    host, port = local_conf.pop("host", ""), local_conf.pop("port", "")
    if host and port:
        local_conf["bind"] = f"{host}:{port}"
    elif host:
        local_conf["bind"] = host.split(",")

    class PasterServerApplication(WSGIApplication):
        def load_config(self):
            self.cfg.set("default_proc_name", config_file)
            if has_logging_config(config_file):
                self.cfg.set("logconfig", config_file)
            if named:
                self.load_config_from_file(named)
            for name, value in local_conf.items():
                if value is not None:
                    self.cfg.set(name.lower(), value)

        def load(self):
            return app

    PasterServerApplication().run()
