//! Settings of the chapters "Config File" and "Server Socket".

use super::Section::{ConfigFile, ServerSocket};
use super::{Reload, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "config",
        ConfigFile,
        "The config file: `PATH`, `file:PATH` or `python:MODULE`. What ends with `.toml` is TOML, and everything else is \
         Python. Only the command line and `GUNICORN_CMD_ARGS` or `FERRICORN_CMD_ARGS` may name it; if neither does, it is \
         `./ferricorn.toml`, `[tool.ferricorn]` in `./pyproject.toml` or `./gunicorn.conf.py`, whichever exists first.",
    )
    .flags(&["--config", "-c"])
    .metavar("CONFIG")
    .reload(Reload::Never),
    Setting::new(
        "wsgi_app",
        ConfigFile,
        "The application, `module`, `module:attr` or `module:factory(\"x\", y=1)`, if the command line names \
         none. `attr` is `application` if it is left out.",
    )
    .metavar("APP_MODULE"),
    Setting::new(
        "bind",
        ServerSocket,
        "Where to listen: `HOST`, `HOST:PORT`, `[IPV6]:PORT`, `:PORT` (all IPv4 addresses), `unix:PATH` or \
         `fd://N` (a socket that was inherited). May be given several times. If the environment has `PORT`, \
         the default is `0.0.0.0:$PORT`.",
    )
    .flags(&["--bind", "-b"])
    .list(&["127.0.0.1:8000"])
    .env("PORT")
    .metavar("ADDRESS")
    .reload(Reload::Master),
    Setting::new(
        "backlog",
        ServerSocket,
        "How many connections may wait to be accepted, as `listen(2)` counts them. The kernel bounds it by \
         `net.core.somaxconn`.",
    )
    .flags(&["--backlog"])
    .int(0, 2_147_483_647, 2048)
    .reload(Reload::Master),
];
