//! Settings of the chapter "Logging".

use super::Section::Logging;
use super::{Kind, Preset, Reload, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "accesslog",
        Logging,
        "The file that one line per request is appended to; `-` is stdout. There is no access log if it is not \
         set.",
    )
    .flags(&["--access-logfile"])
    .metavar("FILE"),
    Setting::new("disable_redirect_access_to_syslog", Logging, "With `syslog`, keep the access log out of it.")
        .flags(&["--disable-redirect-access-to-syslog"])
        .switch(),
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
        "access_log_json",
        Logging,
        "Write each line of the access log as one JSON object, whose members are always the same: `time`, `pid`, `client`, \
         `user`, `method`, `target`, `protocol`, `host`, `status`, `bytes`, `duration` and `queue` (seconds), `referer`, \
         `user_agent`, `request_id` (the header `X-Request-ID` of the response, or else of the request); null is what is \
         not there. It is ASCII, whatever a client sends. `access_log_format` does not count then.",
    )
    .flags(&["--access-log-json"])
    .switch(),
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
        "Send stdout and stderr of the server and the app to the file of `errorlog`. Python holds back what is printed to \
         a file; set PYTHONUNBUFFERED=1 to see it at once. Nothing changes while `errorlog` is `-`.",
    )
        .flags(&["--capture-output"])
        .switch()
        .reload(Reload::Master),
    Setting::new(
        "log_json",
        Logging,
        "Write each record of the error log as one JSON object with the members `time`, `level`, `pid`, `message` and, for \
         Rust apps that log fields, `fields`. What an app writes to `wsgi.errors` is a record for each line, with `stream`. \
         It is ASCII, and a traceback is one record.",
    )
    .flags(&["--log-json"])
    .switch()
    .reload(Reload::Master),
    Setting::new(
        "logger_class",
        Logging,
        "A Python class that logs, in the manner of `gunicorn.glogging.Logger`: the class, or its dotted name. Both logs go \
         through it then; in a worker on a thread of its own.",
    )
    .flags(&["--logger-class"])
    .kind(Kind::Class, Preset::Text("gunicorn.glogging.Logger"))
    .reload(Reload::Master),
    Setting::new(
        "logconfig",
        Logging,
        "A file for Python's `logging.config.fileConfig`, with the loggers `gunicorn.error` and `gunicorn.access`. Both logs \
         go through Python's logging then.",
    )
    .flags(&["--log-config"])
    .metavar("FILE")
    .reload(Reload::Master),
    Setting::new(
        "logconfig_dict",
        Logging,
        "A dictionary for Python's `logging.config.dictConfig`, laid over gunicorn's own by its top-level keys. It counts \
         more than `logconfig_json`, and that more than `logconfig`.",
    )
    .kind(Kind::Dictionary, Preset::Unset)
    .reload(Reload::Master),
    Setting::new(
        "logconfig_json",
        Logging,
        "A JSON file with such a dictionary. One that does not exist is passed over.",
    )
    .flags(&["--log-config-json"])
    .metavar("FILE")
    .reload(Reload::Master),
    Setting::new(
        "syslog_addr",
        Logging,
        "Where syslog listens: `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, also with `#dgram` or `#stream`. No \
         worker waits for it: what it does not take is lost, and by TCP the log tells how many messages were.",
    )
    .flags(&["--log-syslog-to"])
    .text("udp://localhost:514")
    .metavar("ADDRESS")
    .reload(Reload::Master),
    Setting::new("syslog", Logging, "Send the error log and the access log to syslog, too.")
        .flags(&["--log-syslog"])
        .switch()
        .reload(Reload::Master),
    Setting::new(
        "syslog_prefix",
        Logging,
        "The name in syslog: messages begin with `gunicorn.NAME.error` or `gunicorn.NAME.access`, as gunicorn's do. By \
         default it is `proc_name`.",
    )
    .flags(&["--log-syslog-prefix"])
    .metavar("NAME")
    .reload(Reload::Master),
    Setting::new("syslog_facility", Logging, "The facility in syslog, such as `daemon` or `local0`.")
        .flags(&["--log-syslog-facility"])
        .text("user")
        .metavar("FACILITY")
        .reload(Reload::Master),
    Setting::new(
        "enable_stdio_inheritance",
        Logging,
        "Keep standard output and standard error with `daemon`, unless they are a terminal.",
    )
    .flags(&["--enable-stdio-inheritance", "-R"])
    .switch()
    .reload(Reload::Restart),
    Setting::new(
        "statsd_host",
        Logging,
        "Where statsd listens: `HOST:PORT` or `unix://PATH`. It is sent gunicorn's metrics: `gunicorn.requests` and \
         `gunicorn.request.status.CODE` (counters), `gunicorn.request.duration` (milliseconds), `gunicorn.workers` (gauge) and \
         `gunicorn.log.critical`, `.error`, `.warning` and `.exception` (counters). A datagram may hold several, one a line.",
    )
    .flags(&["--statsd-host"])
    .metavar("ADDRESS")
    .reload(Reload::Master),
    Setting::new(
        "dogstatsd_tags",
        Logging,
        "Tags of all statsd metrics, in DogStatsD's form: `tag1:value1,tag2:value2`.",
    )
    .flags(&["--dogstatsd-tags"])
    .text("")
    .metavar("TAGS")
    .reload(Reload::Master),
    Setting::new("statsd_prefix", Logging, "What comes before the names of the statsd metrics; a dot is added.")
        .flags(&["--statsd-prefix"])
        .text("")
        .metavar("PREFIX")
        .reload(Reload::Master),
    Setting::new(
        "enable_backlog_metric",
        Logging,
        "Each second, send statsd the number of clients that wait in the backlogs of all TCP sockets, as the histogram \
         `gunicorn.backlog`, and tell it at level debug. Other systems than Linux do not know it.",
    )
    .flags(&["--enable-backlog-metric"])
    .switch()
    .reload(Reload::Master),
];
