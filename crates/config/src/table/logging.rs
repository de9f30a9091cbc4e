//! Settings of the chapter "Logging".

use super::Section::Logging;
use super::{Kind, Preset, Reload, Setting};

const NO_LOGGERS: &str = "logs go to `errorlog` and `accesslog`, in gunicorn's formats";
const NO_SYSLOG: &str = "it has a meaning only with `syslog`";
const NO_STATSD: &str = "it has a meaning only with `statsd_host`";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "accesslog",
        Logging,
        "The file that one line per request is appended to; `-` is stdout. There is no access log if it is not \
         set.",
    )
    .flags(&["--access-logfile"])
    .metavar("FILE"),
    Setting::new("disable_redirect_access_to_syslog", Logging, "Keep the access log out of syslog.")
        .flags(&["--disable-redirect-access-to-syslog"])
        .switch()
        .ignored(NO_SYSLOG),
    Setting::new(
        "access_log_format",
        Logging,
        "The format of an access-log line, with gunicorn's atoms: `%(h)s` client, `%(t)s` time, `%(r)s` request \
         line, `%(s)s` status, `%(b)s` bytes, `%(D)s` microseconds, `%({name}i)s` request header, `%({name}o)s` \
         response header, `%({name}e)s` environ variable and so on. One more is `%(queue)s`: for how many seconds the \
         request waited for an app thread (`queue_timeout`), or `-`; gunicorn prints `-` for it.",
    )
    .flags(&["--access-logformat"])
    .text(r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#),
    Setting::new(
        "errorlog",
        Logging,
        "The file that the server's own lines are appended to; `-` is stderr. What follows the first line of a message, \
         such as a traceback, never begins with `[`, as a new message does: two spaces come before it. Control \
         characters are shown as escapes.",
    )
        .flags(&["--error-logfile", "--log-file"])
        .text("-")
        .metavar("FILE")
        .reload(Reload::Master),
    Setting::new(
        "loglevel",
        Logging,
        "The least severe lines that the error log shows: `debug`, `info`, `warning`, `error` or `critical`. Of requests \
         that are refused (`Invalid request from ip=...`) each worker shows ten a minute at level warning, and all at \
         level debug.",
    )
    .flags(&["--log-level"])
    .text("info")
    .metavar("LEVEL")
    .reload(Reload::Master),
    Setting::new(
        "capture_output",
        Logging,
        "Send the app's stdout and stderr to `errorlog`. This version takes it only while `errorlog` is `-`, where it \
         changes nothing.",
    )
        .flags(&["--capture-output"])
        .switch()
        .reload(Reload::Never),
    Setting::new("logger_class", Logging, "A Python class that logs.")
        .flags(&["--logger-class"])
        .kind(Kind::Object, Preset::Text("gunicorn.glogging.Logger"))
        .refused(NO_LOGGERS),
    Setting::new("logconfig", Logging, "A file for Python's `logging.config.fileConfig`.")
        .flags(&["--log-config"])
        .refused(NO_LOGGERS),
    Setting::new("logconfig_dict", Logging, "A dictionary for Python's `logging.config.dictConfig`.")
        .kind(Kind::Object, Preset::Unset)
        .refused(NO_LOGGERS),
    Setting::new("logconfig_json", Logging, "A JSON file for Python's `logging.config.dictConfig`.")
        .flags(&["--log-config-json"])
        .refused(NO_LOGGERS),
    Setting::new("syslog_addr", Logging, "Where syslog listens.")
        .flags(&["--log-syslog-to"])
        .text("udp://localhost:514")
        .ignored(NO_SYSLOG),
    Setting::new("syslog", Logging, "Log to syslog.")
        .flags(&["--log-syslog"])
        .switch()
        .refused("log to stderr and let systemd-journald or the container pass it on"),
    Setting::new("syslog_prefix", Logging, "The program name in syslog.")
        .flags(&["--log-syslog-prefix"])
        .ignored(NO_SYSLOG),
    Setting::new("syslog_facility", Logging, "The facility in syslog.")
        .flags(&["--log-syslog-facility"])
        .text("user")
        .ignored(NO_SYSLOG),
    Setting::new("enable_stdio_inheritance", Logging, "Keep redirected stdio when going to the background.")
        .flags(&["--enable-stdio-inheritance", "-R"])
        .switch()
        .ignored("stdio is always inherited"),
    Setting::new("statsd_host", Logging, "Where statsd listens.")
        .flags(&["--statsd-host"])
        .refused("no metrics are sent"),
    Setting::new("dogstatsd_tags", Logging, "Tags of the statsd metrics.")
        .flags(&["--dogstatsd-tags"])
        .text("")
        .ignored(NO_STATSD),
    Setting::new("statsd_prefix", Logging, "Prefix of the statsd metrics.")
        .flags(&["--statsd-prefix"])
        .text("")
        .ignored(NO_STATSD),
    Setting::new("enable_backlog_metric", Logging, "Send the length of the backlog to statsd.")
        .flags(&["--enable-backlog-metric"])
        .switch()
        .ignored(NO_STATSD),
];
