//! The resolved settings: total, typed, and the same in every process of one generation.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use crate::{AsgiSettings, CodeReload, Interface, LogSettings, Paste, WebSocketSettings};

/// Everything that was configured, resolved. Fields bear gunicorn's names where gunicorn has one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The application, as given: `module`, `module:attr` or `module:factory("x", y=1)`. A Rust app has none.
    pub app: Option<String>,
    /// Listen addresses, in order; never empty.
    pub bind: Vec<Bind>,
    /// The backlog of `listen(2)`.
    pub backlog: u32,
    /// Number of worker processes.
    pub workers: usize,
    /// How the app is driven.
    pub worker_class: WorkerClass,
    /// How the app is called.
    pub interface: Interface,
    /// Where an ini file describes the app, in place of `app`.
    pub paste: Option<Paste>,
    /// App threads per worker, 1 to [`MOST_THREADS`]; an ASGI or Rust app makes no use of them.
    pub threads: usize,
    /// Connections that one worker holds at most.
    pub worker_connections: usize,
    /// Requests after which a worker is replaced; 0 means never.
    pub max_requests: u64,
    /// At most this many requests are added to `max_requests`, drawn once per worker.
    pub max_requests_jitter: u64,
    /// Bytes of memory of its own beyond which a worker is replaced; `None` for any number.
    pub max_worker_memory: Option<u64>,
    /// How long a worker serves before it is replaced; `None` if for ever.
    pub max_worker_lifetime: Option<Duration>,
    /// Time without progress after which a worker is killed; `None` if never.
    pub timeout: Option<Duration>,
    /// How long a request may wait for an app thread; `None` if any time.
    pub queue_timeout: Option<Duration>,
    /// Time that the app may take for a request; `None` for any.
    pub request_timeout: Option<Duration>,
    /// Time that requests in flight have to end when a worker stops.
    pub graceful_timeout: Duration,
    /// How long the server goes on accepting after TERM.
    pub drain_delay: Duration,
    /// Time that a new worker may take until it is ready.
    pub boot_timeout: Duration,
    /// How many workers there may be beyond `workers` while a reload replaces them, 1 or more.
    pub reload_surge: usize,
    /// How long an idle connection is kept; zero closes after each response.
    pub keepalive: Duration,
    /// What one request may be at most.
    pub limits: Limits,
    /// What a request head may be like beyond gunicorn's defaults.
    pub grammar: Grammar,
    /// How long the server waits for a client.
    pub deadlines: Deadlines,
    /// Whether the app is imported once, before workers are forked.
    pub preload_app: bool,
    /// The directory in which the app is loaded.
    pub chdir: PathBuf,
    /// Directories put in front of `sys.path`.
    pub pythonpath: Vec<PathBuf>,
    /// Variables set in `os.environ` before the app is loaded.
    pub raw_env: Vec<(String, String)>,
    /// Where the master's pid is written.
    pub pidfile: Option<PathBuf>,
    /// How changed code is noticed; `None` if nobody looks.
    pub reload: Option<CodeReload>,
    /// The umask under which a Unix socket is made.
    pub umask: u32,
    /// The user that workers run as; `None` for the master's.
    pub user: Option<Account>,
    /// The group that workers run as; `None` for that of `user`, or the master's.
    pub group: Option<Account>,
    /// Whether workers are in all groups of `user`.
    pub initgroups: bool,
    /// Whether the server goes to the background.
    pub daemon: bool,
    /// Whether standard output and error are kept there.
    pub enable_stdio_inheritance: bool,
    /// Whether there is a socket for each worker at each TCP address.
    pub reuse_port: bool,
    /// What responses say in `Server`; `None` for no such header.
    pub server: Option<&'static str>,
    /// Whose word counts, and for what.
    pub trust: Trust,
    /// The prefix that is taken off the path (the `SCRIPT_NAME` environment variable).
    pub script_name: String,
    /// What concerns ASGI apps alone.
    pub asgi: AsgiSettings,
    /// What concerns WebSockets.
    pub websocket: WebSocketSettings,
    /// Where the access log goes; `None` if there is none.
    pub accesslog: Option<LogTarget>,
    /// The format of an access-log line.
    pub access_log_format: String,
    /// Where the error log goes.
    pub errorlog: LogTarget,
    /// The least severe level that the error log shows.
    pub loglevel: LogLevel,
    /// The form of the logs, and where logs and metrics go beside their files.
    pub logs: LogSettings,
    /// The name in the process title; the app's by default.
    pub proc_name: String,
    /// The hooks that a config file has set, of those that are called.
    pub hooks: Vec<&'static str>,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// Its number.
    Id(u32),
    /// Its name.
    Name(String),
}

/// A listen address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// A host name or IP address, and a port; resolved when it is bound. Port 0 lets the kernel choose.
    Tcp {
        /// The host, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A path in the file system.
    Unix(PathBuf),
    /// An inherited file descriptor.
    Fd(i32),
}

/// How many app threads a worker may have.
pub const MOST_THREADS: usize = 256;

/// How the app is driven; see `docs/settings.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerClass {
    /// Detected from the app.
    Async,
    /// As `Async`, by the name that usually means one app thread.
    Sync,
    /// As `Async`, by the name that usually means several app threads.
    Gthread,
    /// As `Async`, and the app is an ASGI app.
    Asgi,
    /// On greenlets of gevent's, and the app is a WSGI app.
    Gevent,
}

/// What one request may be at most. Zero never means zero: it is resolved to `None` or to the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line, without its CRLF.
    pub request_line: usize,
    /// Header fields.
    pub request_fields: usize,
    /// Bytes of one header field, its CRLF included.
    pub request_field_size: usize,
    /// Bytes of the body; `None` if unlimited.
    pub request_body: Option<u64>,
}

/// The switches that loosen, or in one case tighten, the grammar of request heads. All are off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grammar {
    /// Header values may go on in further lines.
    pub permit_obsolete_folding: bool,
    /// White space may stand before a header's colon.
    pub strip_header_spaces: bool,
    /// Any token is a method.
    pub permit_unconventional_http_method: bool,
    /// Any `HTTP/` and two digits is a version.
    pub permit_unconventional_http_version: bool,
    /// Methods are turned into upper case.
    pub casefold_http_method: bool,
    /// HTTP/1.1 needs a Host header.
    pub require_host: bool,
}

/// How long the server waits for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For a whole request head, from its first byte (or from the accept, for the first request).
    pub head: Duration,
    /// For the next byte of a request body.
    pub body: Duration,
    /// Bytes per second that a body which is read whole must bring, measured over spans of `body`; 0 for any.
    pub body_rate: u64,
    /// For a client that reads nothing of its response.
    pub write: Duration,
}

/// Which peers are trusted proxies, and which headers they may set.
#[derive(Clone, Debug)]
pub struct Trust {
    /// `forwarded_allow_ips`.
    pub forwarded_allow_ips: AllowList,
    /// Header name and the exact value that means https.
    pub secure_scheme_headers: Vec<(HeaderName, String)>,
    /// Header names with `_` that a trusted peer may set, upper-case; `*` for all.
    pub forwarder_headers: Vec<String>,
    /// What becomes of header names that contain `_`.
    pub header_map: HeaderMapPolicy,
    /// Which PROXY protocol a connection may begin with.
    pub proxy_protocol: ProxyProtocol,
    /// Who may speak it.
    pub proxy_allow_ips: AllowList,
    /// Where a trusted peer tells the client's address; `None` if nowhere.
    pub real_ip: Option<RealIp>,
}

/// The versions of the PROXY protocol that may be spoken (gunicorn's `proxy_protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// None.
    Off,
    /// Version 1, which is text.
    V1,
    /// Version 2, which is binary.
    V2,
    /// Either.
    Auto,
}

/// Where a trusted peer tells the client's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealIp {
    /// The header (`real_ip_header`).
    pub header: HeaderName,
    /// The place of the client's address among those in the header, counted from the right, 1 or more.
    pub hops: usize,
}

/// A list of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowList {
    /// `*`.
    All,
    /// Networks and single addresses.
    Nets(Vec<IpNet>),
}

impl AllowList {
    /// Whether the address is on the list. An IPv4 address mapped into IPv6, which is how a listener for both
    /// shows IPv4 peers, is looked for in either form.
    #[must_use]
    pub fn contains(&self, peer: &SocketAddr) -> bool {
        match self {
            Self::All => true,
            Self::Nets(nets) => {
                let (ip, canonical) = (peer.ip(), peer.ip().to_canonical());
                nets.iter().any(|net| net.contains(&canonical) || net.contains(&ip))
            }
        }
    }
}

/// What becomes of header names that contain `_` (gunicorn's `header_map`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderMapPolicy {
    /// They are dropped.
    Drop,
    /// The request is refused with a 400.
    Refuse,
    /// They are passed on, and can be forged.
    Dangerous,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// `-` for the access log.
    Stdout,
    /// `-` for the error log.
    Stderr,
    /// A file, appended to, and opened again on USR1.
    File(PathBuf),
}

/// Severity, as Python's `logging` orders it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Details for whoever looks for a fault.
    Debug,
    /// What happens in a normal life.
    Info,
    /// Something that somebody should know.
    Warning,
    /// Something failed.
    Error,
    /// The service is affected.
    Critical,
}
