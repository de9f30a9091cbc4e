//! How each of gunicorn's settings behaves here: for `docs/migrating.md` and `--check-config`.

use crate::table::{Setting, Support};

/// The version of gunicorn that is compared with.
pub const GUNICORN: &str = "27.0.1";

/// What a setting of gunicorn's means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// gunicorn has no such setting.
    Own,
    /// The same.
    Same,
    /// The same, and it takes or does more, as the text says.
    More(&'static str),
    /// The same, done better, as the text says.
    Better(&'static str),
    /// Something else, as the text says.
    Different(&'static str),
    /// Nothing, since nothing needs to be done for it, as the text says.
    Ignored(&'static str),
    /// It stops the start. The text says what to do instead.
    Refused(&'static str),
}

impl Compared {
    /// The verdict in a word or two.
    #[must_use]
    pub fn verdict(self) -> &'static str {
        match self {
            Self::Own => "not in gunicorn",
            Self::Same => "same",
            Self::More(_) => "same, and more",
            Self::Better(_) => "better",
            Self::Different(_) => "different",
            Self::Ignored(_) => "ignored",
            Self::Refused(_) => "not supported",
        }
    }

    /// The text that explains it; empty if there is none.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Own | Self::Same => "",
            Self::More(text) | Self::Better(text) | Self::Different(text) => text,
            Self::Ignored(text) | Self::Refused(text) => text,
        }
    }
}

impl Setting {
    /// Compares it with gunicorn's setting of the same name.
    #[must_use]
    pub fn compared(&self) -> Compared {
        if !is_gunicorns(self.name) {
            return Compared::Own;
        }
        match self.support {
            Support::Yes => DIFFERENCES
                .iter()
                .find(|(name, _)| *name == self.name)
                .map_or(Compared::Same, |&(_, compared)| compared),
            Support::Refused(instead) => Compared::Refused(instead),
            Support::Warned(why) | Support::Ignored(why) => Compared::Ignored(why),
            Support::Hook => Compared::Ignored("it is not called"),
        }
    }
}

/// The names of all settings of gunicorn.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.split_ascii_whitespace()
}

/// Whether gunicorn has a setting of that name.
#[must_use]
pub fn is_gunicorns(name: &str) -> bool {
    names().any(|known| known == name)
}

/// Settings that nobody has set and that are something else than with gunicorn: name, and what is so.
pub const UNSET: [(&str, &str); 3] = [
    ("keepalive", "connections that are idle are kept for 75 s, not for 2 s"),
    ("worker_class", "it is found out whether the app is WSGI or ASGI, and connections are kept alive"),
    ("control_socket", "there is none, and no `gunicornc`; use signals"),
];

use Compared::{Better, Different, More};

const HANDLERS: Compared = Different(
    "handlers run on a thread of the worker's own, so that a slow one holds up no request; a fault in it at a reload leaves the \
     old workers serving",
);
const REQUEST_HOOKS: Compared = Different(
    "it is called for requests that reach the app: not for those that are refused before, and not for WebSockets",
);
const ALSO_ASGI: Compared = Better("for ASGI apps too; trailers are always read strictly");
const NOBODY_WAITS: Compared = Better(
    "nobody waits for it, and a server that is away does not stop the start; see docs/compatibility.md",
);

/// What is to be said where a setting is not the same.
const DIFFERENCES: [(&str, Compared); 53] = [
    ("config", More("it may be TOML too; errors name the line")),
    (
        "worker_connections",
        Better(
            "each worker class keeps to it, and an idle connection makes room for a newcomer; 0 is refused",
        ),
    ),
    (
        "workers",
        More("`auto` is as many as there are cores, with the limits of the container; at most 1,024"),
    ),
    (
        "worker_class",
        Different(
            "`sync`, `gthread` and `async` are one mechanism that slow clients do not block and that keeps connections alive; \
             uvicorn's classes mean `asgi`, of those derived from them the `CONFIG_KWARGS` count; `tornado`, `eventlet` and other \
             classes of your own are refused with advice",
        ),
    ),
    (
        "threads",
        Better(
            "threads are started when calls wait, and calls that are fast stay on the main thread; at most 256",
        ),
    ),
    ("max_requests", Better("the replacement is started early, and each worker class counts its requests")),
    (
        "timeout",
        Better(
            "the log names the request and shows its Python stack. With several threads it takes all of them, and of an ASGI app it \
             bounds a turn of the event loop; `--request-timeout` bounds each request",
        ),
    ),
    ("graceful_timeout", Better("clients that wait in the backlog are served too")),
    ("keepalive", Different("it is 75 s if it is not set, and counts for each worker class, `sync` too")),
    (
        "asgi_lifespan",
        Different(
            "start-up has no limit of 30 s of its own, and shutdown has what is left of `graceful_timeout`",
        ),
    ),
    ("websocket_max_message_size", Better("messages may be compressed, and count as they are after that")),
    (
        "reload",
        Better(
            "the master watches, and code that cannot be loaded shows its traceback to clients until it is mended",
        ),
    ),
    ("reload_engine", More("inotify needs no package")),
    (
        "check_config",
        More(
            "it also judges logs, pidfile and the hosts of `bind`, and prints this comparison for what is set",
        ),
    ),
    (
        "print_config",
        Different(
            "each value has its origin behind it, and texts have quotes; settings without an effect are shown if they are set",
        ),
    ),
    ("preload_app", Better("a reload (HUP) loads the new code, too")),
    (
        "reuse_port",
        Better(
            "the master keeps the sockets and every worker serves them all: nobody is reset, or waits for a busy worker",
        ),
    ),
    ("daemon", Better("the command ends when the server listens, or with 1 if its start has failed")),
    ("group", Different("workers are in no other group; that of `user` is the default")),
    ("raw_env", Different("each entry must be `KEY=VALUE`")),
    ("umask", Different("a mode up to `0o777`")),
    ("pythonpath", More("it may be a list too")),
    (
        "proxy_protocol",
        Better(
            "the address holds for all requests of the connection; health checks (`LOCAL`, `UNKNOWN`) have that of the socket; a \
             wrong header is a 400",
        ),
    ),
    ("permit_obsolete_folding", ALSO_ASGI),
    ("strip_header_spaces", ALSO_ASGI),
    ("casefold_http_method", ALSO_ASGI),
    (
        "permit_unconventional_http_version",
        Different("what is above HTTP/1.1 is served as 1.1, and what is below 1.0 as 1.0"),
    ),
    (
        "root_path",
        Different(
            "a path such as `/api`, and `path` in the scope begins with it, as the ASGI specification says",
        ),
    ),
    ("accesslog", Better("requests that nobody could parse are there too")),
    (
        "access_log_format",
        Better(
            "all that a client sends is escaped, not only quotes; `%(queue)s` is one more; a format that gunicorn fails at with each request is refused; `%({transfer-encoding}o)s` of an ASGI app is `-`",
        ),
    ),
    ("errorlog", Better("what a client sends cannot begin a new line; `None` is stderr too")),
    ("capture_output", Better("a reload may take it back; a rotation (USR1) takes it along")),
    ("logger_class", HANDLERS),
    ("logconfig", HANDLERS),
    ("logconfig_dict", HANDLERS),
    ("logconfig_json", HANDLERS),
    ("syslog_addr", NOBODY_WAITS),
    ("syslog", NOBODY_WAITS),
    (
        "enable_backlog_metric",
        Better("a socket in the file system beside those of TCP does not hide their number"),
    ),
    (
        "statsd_host",
        Better(
            "a datagram holds several metrics, a server that is away is told of once, and a name that is not known is looked for until it is found",
        ),
    ),
    ("proc_name", More("no package is needed for it")),
    (
        "on_reload",
        Different("it is called once the new configuration is found good; if it fails, the reload fails"),
    ),
    (
        "pre_fork",
        Different(
            "a replacement may be forked before the worker that it replaces has ended; one that fails does not end a server that serves",
        ),
    ),
    (
        "worker_int",
        Different(
            "if a call of the app lasts, it is called on a thread of the server's own, with 1.5 s to end",
        ),
    ),
    (
        "worker_exit",
        Different("at a quick stop during a call of the app it is called on a thread of the server's own"),
    ),
    (
        "child_exit",
        Different(
            "it is also called for a worker that failed to boot; one that fails does not end a server that serves",
        ),
    ),
    ("nworkers_changed", Different("one that fails does not end a server that serves")),
    ("pre_request", REQUEST_HOOKS),
    ("post_request", REQUEST_HOOKS),
    ("limit_request_field_size", Better("0 is the default for ASGI apps too")),
    ("proxy_allow_ips", More("it may be a list too")),
    ("forwarded_allow_ips", More("IPv4 addresses count in their IPv6 form too; it may be a list")),
    ("post_worker_init", Different("of an ASGI app it is called before lifespan's start-up")),
];

const NAMES: &str = "
    access_log_format accesslog asgi_disconnect_grace_period asgi_lifespan asgi_loop backlog bind ca_certs
    capture_output casefold_http_method cert_reqs certfile chdir check_config child_exit ciphers config
    control_socket control_socket_disable control_socket_mode daemon default_proc_name dirty_apps
    dirty_graceful_timeout dirty_post_fork dirty_threads dirty_timeout dirty_worker_exit dirty_worker_init
    dirty_workers disable_redirect_access_to_syslog do_handshake_on_connect dogstatsd_tags enable_backlog_metric
    enable_stdio_inheritance errorlog forwarded_allow_ips forwarder_headers graceful_timeout group header_map
    http2_cleartext http2_initial_window_size http2_max_concurrent_streams http2_max_frame_size
    http2_max_header_list_size http_parser http_protocols initgroups keepalive keyfile limit_request_field_size
    limit_request_fields limit_request_line logconfig logconfig_dict logconfig_json logger_class loglevel
    max_requests max_requests_jitter nworkers_changed on_dirty_starting on_exit on_reload on_starting paste
    permit_obsolete_folding permit_unconventional_http_method permit_unconventional_http_version pidfile post_fork
    post_request post_worker_init pre_exec pre_fork pre_request preload_app print_config proc_name protocol
    proxy_allow_ips proxy_protocol pythonpath raw_env raw_paste_global_conf reload reload_engine reload_extra_files
    reuse_port root_path secure_scheme_headers sendfile spew ssl_context ssl_version statsd_host statsd_prefix
    strip_header_spaces suppress_ragged_eofs syslog syslog_addr syslog_facility syslog_prefix threads timeout
    tmp_upload_dir umask user uwsgi_allow_ips websocket_max_message_size when_ready worker_abort worker_class
    worker_connections worker_exit worker_int worker_tmp_dir workers wsgi_app
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn each_difference_is_of_a_setting_of_gunicorns_and_is_told_once() {
        let mut names: Vec<_> = DIFFERENCES.iter().map(|(name, _)| *name).collect();
        assert!(names.iter().all(|name| is_gunicorns(name) && table::find(name).is_some()), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DIFFERENCES.len());
        assert!(UNSET.iter().all(|(name, _)| is_gunicorns(name)));
    }

    #[test]
    fn what_stops_the_start_is_not_supported_and_what_gunicorn_lacks_is_ours() {
        let of = |name: &str| table::find(name).unwrap().compared();
        assert!(matches!(of("certfile"), Compared::Refused(instead) if instead.contains("proxy")));
        assert_eq!(of("request_timeout"), Compared::Own);
        assert_eq!(of("backlog"), Compared::Same);
        assert!(matches!(of("worker_tmp_dir"), Compared::Ignored(_)));
        assert!(matches!(of("keepalive"), Compared::Different(_)));
    }
}
