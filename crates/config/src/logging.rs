//! The settings of logs and metrics beyond files and formats: their types, and how they are resolved.

use std::fmt;
use std::path::PathBuf;

use crate::parse::Fault;
use crate::reader::Reader;
use crate::value::Typed;
use crate::{Layers, LogLevel, LogTarget, Note};

/// The ports of the two protocols where none is given.
const SYSLOG_PORT: u16 = 514;
const STATSD_PORT: u16 = 8125;

/// gunicorn's own loggers, which this server does without Python.
const OURS: [&str; 7] = [
    "",
    "simple",
    "egg:gunicorn#simple",
    "gunicorn.glogging.Logger",
    "<class 'gunicorn.glogging.Logger'>",
    "gunicorn.instrument.statsd.Statsd",
    "<class 'gunicorn.instrument.statsd.Statsd'>",
];

/// Where logs and metrics go beside their files, and in which form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Whether a record of the error log is one JSON object.
    pub json: bool,
    /// Whether an access line is one JSON object.
    pub access_json: bool,
    /// Whether both logs go through Python's `logging`, as `logger_class`, `logconfig` or one of its kin wishes.
    pub python: bool,
    /// Whether stdout and stderr go to the file of the error log.
    pub capture_output: bool,
    /// The syslog; `None` if nothing goes there.
    pub syslog: Option<SyslogSettings>,
    /// The statsd; `None` if no metrics are sent.
    pub statsd: Option<StatsdSettings>,
    /// Whether it is told how many clients wait in the backlogs.
    pub backlog: bool,
}

/// A syslog and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogSettings {
    /// Where it listens.
    pub address: RemoteAddress,
    /// The facility's number (RFC 5424, section 6.2.1).
    pub facility: u8,
    /// The name before `.error` and `.access`: `gunicorn.shop`.
    pub program: String,
    /// Whether access lines go there.
    pub access: bool,
}

/// A statsd and how metrics are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsdSettings {
    /// Where it listens.
    pub address: RemoteAddress,
    /// What comes before each name: empty, or a prefix with a dot at its end.
    pub prefix: String,
    /// Tags in DogStatsD's form, `a:b,c`; may be empty.
    pub tags: String,
}

/// Who takes logs or metrics over a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAddress {
    /// By datagrams.
    Udp(String, u16),
    /// By a stream.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf, UnixKind),
}

impl fmt::Display for RemoteAddress {
    /// As `syslog_addr` is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, host, port) = match self {
            Self::Unix(path, _) => return write!(f, "unix://{}", path.display()),
            Self::Udp(host, port) => ("udp", host, port),
            Self::Tcp(host, port) => ("tcp", host, port),
        };
        match host.contains(':') {
            true => write!(f, "{protocol}://[{host}]:{port}"),
            false => write!(f, "{protocol}://{host}:{port}"),
        }
    }
}

/// What kind of socket lies in the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixKind {
    /// One for datagrams.
    Datagram,
    /// One for streams.
    Stream,
    /// Whichever it is: datagrams are tried first.
    Either,
}

impl Layers {
    /// Whether requests are told as lines in `access_log_format`, by this server itself.
    #[must_use]
    pub fn prints_access_lines(&self) -> bool {
        let read = Reader::new(self);
        let syslog = read.switch("syslog") && !read.switch("disable_redirect_access_to_syslog");
        (read.optional("accesslog").is_some() || syslog) && !read.switch("access_log_json") && !python(&read)
    }
}

pub(crate) fn logs(read: &mut Reader<'_>, errorlog: &LogTarget, name: &str) -> LogSettings {
    let access_json = read.switch("access_log_json");
    if access_json && !python(read) && !read.is_default("access_log_format") {
        let source = read.layers.source("access_log_format");
        let message = format!("access_log_format has no effect: access_log_json is on (from {source})");
        read.notes.push(Note { level: LogLevel::Warning, message });
    }
    let logs = LogSettings {
        json: read.switch("log_json"),
        access_json,
        python: python(read),
        // As in gunicorn: what goes to stderr anyway stays as it is.
        capture_output: read.switch("capture_output") && *errorlog != LogTarget::Stderr,
        syslog: syslog(read, name),
        statsd: statsd(read),
        backlog: read.switch("enable_backlog_metric"),
    };
    if logs.python {
        for key in ["log_json", "access_log_json"] {
            if read.switch(key) {
                let source = read.layers.source(key);
                let message =
                    format!("{key} has no effect: the logs go through Python's logging (from {source})");
                read.notes.push(Note { level: LogLevel::Warning, message });
            }
        }
        return logs;
    }
    let told =
        read.optional("accesslog").is_some() || logs.syslog.as_ref().is_some_and(|syslog| syslog.access);
    if access_json && !told {
        let source = read.layers.source("access_log_json");
        let message = format!(
            "access_log_json has no effect: there is no access log; set --access-logfile - for one on stdout (from {source})"
        );
        read.notes.push(Note { level: LogLevel::Warning, message });
    }
    logs
}

/// The settings that bring Python into the logs; a logger class that is this server's own does not.
fn python(read: &Reader<'_>) -> bool {
    let files = ["logconfig", "logconfig_json"].into_iter().any(|key| read.optional(key).is_some());
    let class = match read.typed("logger_class") {
        Typed::Text(text) => !OURS.contains(&text.as_str()),
        _ => false,
    };
    files || class || read.typed("logconfig_dict") != Typed::Unset
}

fn syslog(read: &mut Reader<'_>, name: &str) -> Option<SyslogSettings> {
    let (text, word) = (read.text("syslog_addr"), read.text("syslog_facility"));
    let fallback = RemoteAddress::Udp("localhost".to_owned(), SYSLOG_PORT);
    // As in gunicorn, an empty text does no harm where nothing goes to a syslog.
    let unused = !read.switch("syslog");
    let address = if unused && text.is_empty() { Ok(fallback.clone()) } else { syslog_address(&text) };
    let address = read.parsed("syslog_addr", &text, address, fallback);
    let facility =
        facility(&word).or_else(|fault| if unused && word.is_empty() { Ok(1) } else { Err(fault) });
    let facility = read.parsed("syslog_facility", &word, facility, 1);
    let prefix = read.optional("syslog_prefix").unwrap_or_else(|| name.replace(':', "."));
    // It stands in front of each message, where control characters would end or forge one.
    let program = format!("gunicorn.{prefix}").replace(char::is_control, "_");
    let access = !read.switch("disable_redirect_access_to_syslog");
    read.switch("syslog").then_some(SyslogSettings { address, facility, program, access })
}

fn statsd(read: &mut Reader<'_>) -> Option<StatsdSettings> {
    let text = read.optional("statsd_host")?;
    let fallback = RemoteAddress::Udp("localhost".to_owned(), STATSD_PORT);
    let address = read.parsed("statsd_host", &text, statsd_address(&text), fallback);
    let mut prefix = plain(read, "statsd_prefix").trim_end_matches('.').to_owned();
    if !prefix.is_empty() {
        prefix.push('.');
    }
    Some(StatsdSettings { address, prefix, tags: plain(read, "dogstatsd_tags") })
}

/// A text that becomes a part of metrics, where a line's end would begin another one.
fn plain(read: &mut Reader<'_>, key: &'static str) -> String {
    let text = read.text(key);
    let sound = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    let result = sound.then(|| text.clone()).ok_or_else(|| Fault::new("printable ASCII"));
    read.parsed(key, &text, result, String::new())
}

/// gunicorn's forms of `syslog_addr`.
fn syslog_address(text: &str) -> Result<RemoteAddress, Fault> {
    let fault = || {
        Fault::new("an address: udp://HOST:PORT, tcp://HOST:PORT or unix://PATH, also with #dgram or #stream")
    };
    if let Some(path) = text.strip_prefix("unix://") {
        let (path, kind) = match path.split_once('#') {
            Some((path, "dgram")) => (path, UnixKind::Datagram),
            Some((path, "stream")) => (path, UnixKind::Stream),
            Some(_) => return Err(fault()),
            None => (path, UnixKind::Either),
        };
        return if path.is_empty() { Err(fault()) } else { Ok(RemoteAddress::Unix(path.into(), kind)) };
    }
    let (rest, make): (_, fn(String, u16) -> RemoteAddress) =
        match (text.strip_prefix("udp://"), text.strip_prefix("tcp://")) {
            (Some(rest), _) => (rest, RemoteAddress::Udp),
            (_, Some(rest)) => (rest, RemoteAddress::Tcp),
            _ => return Err(fault()),
        };
    let (host, port) = host_and_port(rest, SYSLOG_PORT).ok_or_else(fault)?;
    Ok(make(host, port))
}

/// gunicorn's forms of `statsd_host`. `unix:` and a number is a host of that name there, and so here.
fn statsd_address(text: &str) -> Result<RemoteAddress, Fault> {
    let fault = || Fault::new("an address: HOST:PORT or unix://PATH");
    if let Some(path) = text.strip_prefix("unix:")
        && path.parse::<u16>().is_err()
    {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() {
            Err(fault())
        } else {
            Ok(RemoteAddress::Unix(path.into(), UnixKind::Datagram))
        };
    }
    let text = text.strip_prefix("udp://").unwrap_or(text);
    let (host, port) = host_and_port(text, STATSD_PORT).ok_or_else(fault)?;
    Ok(RemoteAddress::Udp(host, port))
}

/// `host`, `host:port`, `[ipv6]`, `[ipv6]:port`; no host is this machine.
fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']')? {
            (host, "") => (host, None),
            (host, rest) => (host, Some(rest.strip_prefix(':')?)),
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|&port: &u16| port > 0)?,
        None => default,
    };
    if host.contains(|c: char| c == '/' || c.is_whitespace()) {
        return None;
    }
    Some((if host.is_empty() { "localhost".to_owned() } else { host.to_ascii_lowercase() }, port))
}

/// The number of a facility (RFC 5424, section 6.2.1), by Python's names.
fn facility(name: &str) -> Result<u8, Fault> {
    const NAMES: [(&str, u8); 21] = [
        ("kern", 0),
        ("user", 1),
        ("mail", 2),
        ("daemon", 3),
        ("auth", 4),
        ("security", 4),
        ("syslog", 5),
        ("lpr", 6),
        ("news", 7),
        ("uucp", 8),
        ("cron", 9),
        ("authpriv", 10),
        ("ftp", 11),
        ("local0", 16),
        ("local1", 17),
        ("local2", 18),
        ("local3", 19),
        ("local4", 20),
        ("local5", 21),
        ("local6", 22),
        ("local7", 23),
    ];
    let name = name.to_ascii_lowercase();
    NAMES.iter().find(|(known, _)| *known == name).map(|&(_, number)| number).ok_or_else(|| {
        Fault::new("a facility of syslog: user, daemon, local0 to local7, auth, cron, mail ...")
    })
}
