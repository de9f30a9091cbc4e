"""`WSGIApplication`: the command line's application as a class, and `run`, the command itself."""

import sys

from ferricorn import util
from ferricorn.app.base import Application
from ferricorn.errors import ConfigError


class WSGIApplication(Application):
    """Serves the app that `app_uri` names, or the command line."""

    app_uri = None

    def init(self, parser, opts, args):
        """Nothing is set that the command line does not say."""

    def load_wsgiapp(self):
        """The app that `app_uri` names."""
        uri = self.app_uri or self.cfg.wsgi_app
        if not uri:
            raise ConfigError("No application module specified.")
        return util.import_app(uri)

    def load(self):
        return self.load_wsgiapp()

    def _loads(self):
        return not self._from_outside or type(self).load is not WSGIApplication.load


def run(prog=None):
    """Runs the command line of the process."""
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog=prog).run()


if __name__ == "__main__":
    sys.exit(run())
