//! Settings of the chapter "Server Mechanics".

use super::Section::ServerMechanics;
use super::{Kind, Preset, Reload, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "preload_app",
        ServerMechanics,
        "Import the app once, in a process of its own (the mold) from which workers are forked: they start faster and share \
         memory. A reload starts a new mold, and so brings new code. See `docs/preload.md`.",
    )
    .flags(&["--preload"])
    .switch(),
    Setting::new("sendfile", ServerMechanics, "Whether files are sent with `sendfile(2)`.")
        .flags(&["--no-sendfile"])
        .kind(Kind::Switch(false), Preset::Unset)
        .env("SENDFILE")
        .ignored("the server chooses how it sends files"),
    Setting::new(
        "reuse_port",
        ServerMechanics,
        "Open a socket for each worker at each TCP address (`SO_REUSEPORT`), among which the kernel spreads clients, and let other \
         servers listen there, too. The master keeps the sockets and every worker serves them all, so no client waits for a worker \
         that is busy or gone.",
    )
    .flags(&["--reuse-port"])
    .switch()
    .reload(Reload::Restart),
    Setting::new(
        "chdir",
        ServerMechanics,
        "The directory in which the app is loaded and relative paths are meant; it comes first on `sys.path`. \
         The current one if it is not set.",
    )
    .flags(&["--chdir"])
    .metavar("DIR"),
    Setting::new(
        "daemon",
        ServerMechanics,
        "Go to the background, in a session of its own. The command ends when the server listens, with 0, or when its start has \
         failed, with 1. Name an `errorlog`: nothing that goes to the standard streams is seen after the start. Not for \
         systemd or containers, which run servers in the foreground.",
    )
    .flags(&["--daemon", "-D"])
    .switch()
    .reload(Reload::Restart),
    Setting::new(
        "raw_env",
        ServerMechanics,
        "Environment variables to set before the app is loaded, `KEY=VALUE`, in the master too: hooks see them, but a config file \
         does not. May be given several times.",
    )
    .flags(&["--env", "-e"])
    .list(&[])
    .metavar("ENV"),
    Setting::new("pidfile", ServerMechanics, "The file that the master writes its process id to.")
        .flags(&["--pid", "-p"])
        .metavar("FILE")
        .reload(Reload::Master),
    Setting::new("worker_tmp_dir", ServerMechanics, "Where gunicorn keeps its heartbeat files.")
        .flags(&["--worker-tmp-dir"])
        .metavar("DIR")
        .ignored("the heartbeat is kept in shared memory, not in a file"),
    Setting::new(
        "user",
        ServerMechanics,
        "The user that workers run as, by name or number, if the master is root's; Unix sockets and log files that the \
         master makes are its, too. The master stays root's. The user that starts the server if it is not set.",
    )
    .flags(&["--user", "-u"])
    .kind(Kind::Account, Preset::Unset)
    .metavar("USER"),
    Setting::new(
        "group",
        ServerMechanics,
        "The group that workers run as, by name or number. That of `user` if it is not set. They are in no other group \
         unless `initgroups` is set.",
    )
    .flags(&["--group", "-g"])
    .kind(Kind::Account, Preset::Unset)
    .metavar("GROUP"),
    Setting::new(
        "umask",
        ServerMechanics,
        "The umask under which a Unix socket is made, so that `007` keeps others out; octal with a leading zero.",
    )
    .flags(&["--umask", "-m"])
    .kind(Kind::Mode, Preset::Int(0))
    .metavar("INT")
    .reload(Reload::Restart),
    Setting::new("initgroups", ServerMechanics, "Give workers all groups that `user` is in, beside `group`.")
        .flags(&["--initgroups"])
        .switch(),
    Setting::new("tmp_upload_dir", ServerMechanics, "gunicorn accepts it and does nothing with it.")
        .ignored("gunicorn does nothing with it either"),
    Setting::new(
        "secure_scheme_headers",
        ServerMechanics,
        "Headers that tell of https, each with the exact value that does. They count only from trusted peers \
         (`forwarded_allow_ips`).",
    )
    .kind(
        Kind::Pairs,
        Preset::Pairs(&[
            ("X-FORWARDED-PROTOCOL", "ssl"),
            ("X-FORWARDED-PROTO", "https"),
            ("X-FORWARDED-SSL", "on"),
        ]),
    ),
    Setting::new(
        "forwarded_allow_ips",
        ServerMechanics,
        "Addresses and networks (CIDR) of the proxies whose headers count, separated by commas; `*` trusts \
         everybody. Peers on a Unix socket are always trusted.",
    )
    .flags(&["--forwarded-allow-ips"])
    .commas(&["127.0.0.1", "::1"])
    .env("FORWARDED_ALLOW_IPS")
    .metavar("ADDRESSES"),
    Setting::new(
        "pythonpath",
        ServerMechanics,
        "Directories to put in front of `sys.path`, separated by commas.",
    )
    .flags(&["--pythonpath"])
    .commas(&[])
    .metavar("DIRS"),
    Setting::new(
        "paste",
        ServerMechanics,
        "The ini file of an app for PasteDeploy, such as Pyramid's `production.ini`, in place of the app's name; `FILE#NAME` \
         for another section than `[app:main]`. If it has a section `[loggers]`, the flag has both logs go by it.",
    )
    .flags(&["--paste", "--paster"])
    .metavar("FILE"),
    Setting::new(
        "proxy_protocol",
        ServerMechanics,
        "Which version of the PROXY protocol a load balancer may begin a connection with: `v1`, `v2`, or `auto` for \
         both, which the flag alone means too. A connection without it is served as well. Behind a balancer that \
         passes TCP through set `forwarded_allow_ips` to the empty string, or its clients' own headers count.",
    )
    .flags(&["--proxy-protocol"])
    .kind(Kind::OptionalChoice(&["off", "v1", "v2", "auto"], "auto"), Preset::Text("off"))
    .metavar("MODE"),
    Setting::new(
        "proxy_allow_ips",
        ServerMechanics,
        "Addresses and networks (CIDR) of those who may speak the PROXY protocol, separated by commas; `*` lets \
         everybody. Others get a 403. Peers on a Unix socket always may.",
    )
    .flags(&["--proxy-allow-from"])
    .commas(&["127.0.0.1", "::1"])
    .metavar("ADDRESSES"),
    Setting::new("protocol", ServerMechanics, "`http` or `uwsgi`.")
        .flags(&["--protocol"])
        .text("http")
        .refused("use nginx's `proxy_pass` instead of `uwsgi_pass`"),
    Setting::new("uwsgi_allow_ips", ServerMechanics, "Who may speak the uwsgi protocol.")
        .flags(&["--uwsgi-allow-from"])
        .commas(&["127.0.0.1", "::1"])
        .ignored("it has a meaning only with `protocol = \"uwsgi\"`"),
    Setting::new(
        "raw_paste_global_conf",
        ServerMechanics,
        "A value `NAME=VALUE` that counts for the whole file of `paste`, over its `[DEFAULT]`. The flag may be repeated; \
         `\\=` stands for an equals sign of the name.",
    )
    .flags(&["--paste-global"])
    .list(&[])
    .metavar("NAME=VALUE"),
    Setting::new(
        "permit_obsolete_folding",
        ServerMechanics,
        "Accept header values that go on in a line that begins with white space (RFC 9112 section 5.2); the lines \
         are joined with one space. Dangerous with a proxy that understands them otherwise.",
    )
    .flags(&["--permit-obsolete-folding"])
    .switch(),
    Setting::new(
        "strip_header_spaces",
        ServerMechanics,
        "Accept white space between a header's name and its colon, and drop it. RFC 9112 section 5.1 forbids it, \
         since proxies differ about it.",
    )
    .flags(&["--strip-header-spaces"])
    .switch(),
    Setting::new(
        "permit_unconventional_http_method",
        ServerMechanics,
        "Accept every method that is a token (RFC 9110 section 9.1), not only upper-case ones of 3 to 20 characters \
         without `#`.",
    )
    .flags(&["--permit-unconventional-http-method"])
    .switch(),
    Setting::new(
        "permit_unconventional_http_version",
        ServerMechanics,
        "Accept every `HTTP/` version of two digits, not only 1.0 to 1.9. What is above 1.1 is served as 1.1, and \
         what is below as 1.0.",
    )
    .flags(&["--permit-unconventional-http-version"])
    .switch(),
    Setting::new(
        "casefold_http_method",
        ServerMechanics,
        "Turn methods into upper case. Lower-case ones must be accepted first, with \
         `permit_unconventional_http_method`.",
    )
    .flags(&["--casefold-http-method"])
    .switch(),
    Setting::new(
        "forwarder_headers",
        ServerMechanics,
        "Header names with `_`, in upper case and separated by commas, that a trusted peer may set; `*` for all.",
    )
    .flags(&["--forwarder-headers"])
    .commas(&["SCRIPT_NAME", "PATH_INFO"])
    .metavar("NAMES"),
    Setting::new(
        "header_map",
        ServerMechanics,
        "What becomes of other header names with `_`, which an app cannot tell from the same name with `-`: \
         `drop` them, `refuse` the request with a 400, or be `dangerous` and pass them on. `dangerous` lets an \
         untrusted peer set SCRIPT_NAME too.",
    )
    .flags(&["--header-map"])
    .choice(&["drop", "refuse", "dangerous"], "drop")
    .metavar("drop|refuse|dangerous"),
    Setting::new(
        "root_path",
        ServerMechanics,
        "The prefix under which clients see an ASGI app, such as `/api`; a slash at its end does not count. It is put in \
         front of a path that does not begin with it, since a proxy may have taken it off. A WSGI app's prefix is the \
         environment's SCRIPT_NAME.",
    )
    .flags(&["--root-path"])
    .text("")
    .metavar("PATH"),
    Setting::new(
        "server_header",
        ServerMechanics,
        "What responses say in `Server`; the empty string leaves the header out. A config file may say it as for gunicorn \
         too: `import gunicorn; gunicorn.SERVER = \"...\"`. gunicorn has no such setting.",
    )
    .flags(&["--server-header"])
    .text("ferricorn"),
];
