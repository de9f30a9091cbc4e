//! From layers to [`Settings`]: key by key, so that all errors come at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::Dict;

use crate::asgi;
use crate::development;
use crate::logging;
use crate::parse;
use crate::paste::paste;
use crate::reader::Reader;
use crate::settings::MOST_THREADS;
use crate::table;
use crate::value::Typed;
use crate::{
    Account, AllowList, Bind, Deadlines, Grammar, HeaderMapPolicy, Interface, Layers, Limits, LogLevel,
    LogTarget, ProxyProtocol, RealIp, SettingError, Settings, Trust, WorkerClass,
};

/// How a message says that a setting must wait for a later version.
pub(crate) const NOT_YET: &str = concat!("not supported yet by ferricorn ", env!("CARGO_PKG_VERSION"));

/// The usual content of `Server`.
const OURS: &str = "ferricorn";

/// What the settings depend on and do not say themselves.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How many cores this process may use: the meaning of `workers = auto`.
    pub cpus: usize,
    /// The directory in which the server was started, absolute.
    pub directory: PathBuf,
    /// The process title's name if neither `proc_name` nor the app gives one.
    pub program: String,
}

/// Settings that were found good.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// Every setting of the table by name, as its value would stand in a config file. A function is only told of.
    pub values: Dict,
    /// What the operator should know, to be logged.
    pub notes: Vec<Note>,
    /// Where each hook that is set comes from.
    pub hook_sources: BTreeMap<&'static str, String>,
    /// Whether the configuration and the app are only to be checked.
    pub check_config: bool,
    /// Whether the configuration is to be printed.
    pub print_config: bool,
}

/// Something that the operator should know and that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters: `Warning`, `Info` or `Debug`.
    pub level: LogLevel,
    /// One line.
    pub message: String,
}

impl Layers {
    /// Resolves the layers into settings.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the table.
    pub fn resolve(&self, facts: &Facts) -> Result<Resolved, Vec<SettingError>> {
        let mut reader = Reader::new(self);
        let settings = settings(&mut reader, facts);
        let (check, print) = (reader.switch("check_config"), reader.switch("print_config"));
        if !reader.errors.is_empty() {
            let place =
                |error: &SettingError| table::settings().position(|setting| setting.name == error.key);
            reader.errors.sort_by_key(place);
            return Err(reader.errors);
        }
        let values = reader.values();
        let hook_sources = settings.hooks.iter().map(|&hook| (hook, self.source(hook))).collect();
        Ok(Resolved {
            settings,
            values,
            notes: reader.notes,
            hook_sources,
            check_config: check || print,
            print_config: print,
        })
    }
}

fn settings(read: &mut Reader<'_>, facts: &Facts) -> Settings {
    let app = read.optional("wsgi_app");
    let paste = paste(read, &facts.directory);
    let proc_name = read
        .optional("proc_name")
        .or_else(|| paste.as_ref().map(|paste| paste.file.display().to_string()))
        .or_else(|| app.clone())
        .unwrap_or_else(|| facts.program.clone());
    let workers = match read.typed("workers") {
        Typed::Text(_) => facts.cpus.max(1),
        number => size(number),
    };
    let errorlog = parse::log_target(&read.text("errorlog"), LogTarget::Stderr);
    let (worker_class, interface) = asgi::class_and_interface(read);
    let threads = threads(read, worker_class, interface);
    Settings {
        bind: binds(read),
        backlog: u32::try_from(read.int("backlog")).unwrap_or(u32::MAX),
        workers,
        worker_class,
        interface,
        paste,
        threads,
        worker_connections: size(read.typed("worker_connections")),
        max_requests: read.int("max_requests"),
        max_requests_jitter: read.int("max_requests_jitter"),
        max_worker_memory: Some(read.int("max_worker_memory") << 20).filter(|&limit| limit > 0),
        max_worker_lifetime: read.limit("max_worker_lifetime"),
        timeout: read.limit("timeout"),
        queue_timeout: queue_timeout(read, worker_class, interface),
        request_timeout: request_timeout(read, interface, threads),
        graceful_timeout: read.seconds("graceful_timeout"),
        drain_delay: read.seconds("drain_delay"),
        boot_timeout: boot_timeout(read),
        reload_surge: size(read.typed("reload_surge")).max(1),
        keepalive: read.seconds("keepalive"),
        limits: limits(read),
        grammar: Grammar {
            permit_obsolete_folding: read.switch("permit_obsolete_folding"),
            strip_header_spaces: read.switch("strip_header_spaces"),
            permit_unconventional_http_method: read.switch("permit_unconventional_http_method"),
            permit_unconventional_http_version: read.switch("permit_unconventional_http_version"),
            casefold_http_method: read.switch("casefold_http_method"),
            require_host: read.switch("require_host"),
        },
        deadlines: Deadlines {
            head: read.seconds("header_timeout"),
            body: read.seconds("body_timeout"),
            body_rate: read.int("body_rate"),
            write: read.seconds("write_timeout"),
        },
        preload_app: read.switch("preload_app"),
        chdir: read
            .optional("chdir")
            .map_or_else(|| facts.directory.clone(), |chdir| facts.directory.join(chdir)),
        pythonpath: read.list("pythonpath").into_iter().map(PathBuf::from).collect(),
        raw_env: read.each("raw_env", parse::variable),
        pidfile: read.optional("pidfile").map(PathBuf::from),
        reload: development::code_reload(read),
        umask: u32::try_from(read.int("umask")).unwrap_or(0),
        user: account(read, "user"),
        group: account(read, "group"),
        initgroups: read.switch("initgroups"),
        daemon: read.switch("daemon"),
        enable_stdio_inheritance: read.switch("enable_stdio_inheritance"),
        reuse_port: read.switch("reuse_port"),
        server: server(read),
        trust: trust(read),
        script_name: read.layers.script_name().to_owned(),
        asgi: asgi::asgi(read, worker_class),
        websocket: asgi::websocket(read),
        accesslog: read.optional("accesslog").map(|target| parse::log_target(&target, LogTarget::Stdout)),
        access_log_format: read.text("access_log_format"),
        loglevel: level(read),
        logs: logging::logs(read, &errorlog, &proc_name),
        errorlog,
        proc_name,
        hooks: read.hooks(),
        app,
    }
}

/// Calls that do not wait for app threads need no such limit.
fn queue_timeout(read: &mut Reader<'_>, class: WorkerClass, interface: Interface) -> Option<Duration> {
    let limit = read.limit("queue_timeout")?;
    let why = match (class, interface) {
        (WorkerClass::Gevent, _) => "each request is a greenlet of its own, which begins at once",
        (_, Interface::Asgi) => "each request is a task of its own, which begins at once",
        _ => return Some(limit),
    };
    let message =
        format!("queue_timeout has no effect: {why} (from {})", read.layers.source("queue_timeout"));
    read.notes.push(Note { level: LogLevel::Warning, message });
    None
}

/// A worker that is killed first has no use for a deadline of the request. That of an ASGI app is not.
fn request_timeout(read: &mut Reader<'_>, interface: Interface, threads: usize) -> Option<Duration> {
    let limit = read.limit("request_timeout")?;
    let bounds_calls = interface != Interface::Asgi && threads == 1;
    if let Some(timeout) = read.limit("timeout").filter(|&timeout| bounds_calls && limit >= timeout) {
        let message = format!(
            "request_timeout ({} s) is not shorter than timeout ({} s), at which the worker of a WSGI app is replaced for a \
             call as long: raise timeout (request_timeout is from {}, timeout from {})",
            limit.as_secs_f64(),
            timeout.as_secs_f64(),
            read.layers.source("request_timeout"),
            read.layers.source("timeout"),
        );
        read.notes.push(Note { level: LogLevel::Warning, message });
    }
    Some(limit)
}

/// Whoever knows from gunicorn that the app is slow to load has raised `timeout`.
fn boot_timeout(read: &Reader<'_>) -> Duration {
    let own = read.seconds("boot_timeout");
    let other = read.limit("timeout").filter(|_| read.is_default("boot_timeout"));
    other.map_or(own, |timeout| own.max(timeout))
}

/// How many app threads a worker has at the most. More than one is of no use to an ASGI app.
fn threads(read: &mut Reader<'_>, class: WorkerClass, interface: Interface) -> usize {
    let threads = size(read.typed("threads")).max(1);
    let source = read.layers.source("threads");
    let mut note = |level, message| read.notes.push(Note { level, message });
    if threads == 1 {
        return 1;
    }
    if class == WorkerClass::Gevent {
        let message = format!(
            "threads has no effect: each request is a greenlet of its own, and worker_connections says how many run at \
             the same time (from {source})"
        );
        note(LogLevel::Warning, message);
        return 1;
    }
    if interface == Interface::Asgi {
        let message = format!(
            "threads has no effect: an ASGI app runs on one event loop in each worker; use more workers (from {source})"
        );
        note(LogLevel::Warning, message);
        return 1;
    }
    if class == WorkerClass::Sync {
        let message =
            format!("worker_class sync with {threads} threads means gthread, as in gunicorn (from {source})");
        note(LogLevel::Info, message);
    }
    if threads > MOST_THREADS {
        let message = format!(
            "threads: a worker has at most {MOST_THREADS} app threads, so it is that and not {threads}; use more workers \
             (from {source})"
        );
        note(LogLevel::Warning, message);
    }
    threads.min(MOST_THREADS)
}

/// What is not the usual word is kept for the life of the process: it is as short as a header, and set once, or once more
/// at a reload.
fn server(read: &mut Reader<'_>) -> Option<&'static str> {
    let text = read.text("server_header");
    let good = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match text.as_str() {
        "" => None,
        OURS => Some(OURS),
        _ if good => Some(String::leak(text)),
        _ => {
            read.refuse("server_header", &format!("{text:?} is not text of printable ASCII"), None);
            Some(OURS)
        }
    }
}

fn binds(read: &mut Reader<'_>) -> Vec<Bind> {
    let binds = read.each("bind", parse::bind);
    if read.list("bind").is_empty() {
        read.refuse("bind", "no address to listen on", Some("remove it to listen on 127.0.0.1:8000"));
    }
    binds
}

/// gunicorn's clamps: a zero, or more than the parser takes, is the most that the parser takes.
fn limits(read: &mut Reader<'_>) -> Limits {
    const LINE: usize = 8190;
    const FIELDS: usize = 32_768;
    const FIELD: usize = 8190;
    let clamp = |limit: usize, most: usize| if limit == 0 || limit > most { most } else { limit };
    let field = size(read.typed("limit_request_field_size"));
    Limits {
        request_line: clamp(size(read.typed("limit_request_line")), LINE),
        request_fields: clamp(size(read.typed("limit_request_fields")), FIELDS),
        request_field_size: if field == 0 { FIELD } else { field },
        request_body: Some(read.int("limit_request_body")).filter(|&limit| limit > 0),
    }
}

fn trust(read: &mut Reader<'_>) -> Trust {
    let mut secure_scheme_headers = Vec::new();
    for (name, value) in read.pairs("secure_scheme_headers") {
        match parse::header_name(&name) {
            Ok(header) => secure_scheme_headers.push((header, value)),
            Err(fault) => read.fault("secure_scheme_headers", &name, fault),
        }
    }
    let hops = size(read.typed("real_ip_hops"));
    let real_ip = read.optional("real_ip_header").and_then(|name| match parse::header_name(&name) {
        Ok(header) => Some(RealIp { header, hops }),
        Err(fault) => {
            read.fault("real_ip_header", &name, fault);
            None
        }
    });
    Trust {
        forwarded_allow_ips: allow_list(read, "forwarded_allow_ips"),
        secure_scheme_headers,
        forwarder_headers: read.list("forwarder_headers").iter().map(|name| name.to_uppercase()).collect(),
        header_map: match read.text("header_map").as_str() {
            "refuse" => HeaderMapPolicy::Refuse,
            "dangerous" => HeaderMapPolicy::Dangerous,
            _ => HeaderMapPolicy::Drop,
        },
        proxy_protocol: match read.text("proxy_protocol").as_str() {
            "v1" => ProxyProtocol::V1,
            "v2" => ProxyProtocol::V2,
            "auto" => ProxyProtocol::Auto,
            _ => ProxyProtocol::Off,
        },
        proxy_allow_ips: allow_list(read, "proxy_allow_ips"),
        real_ip,
    }
}

fn allow_list(read: &mut Reader<'_>, key: &'static str) -> AllowList {
    parse::allow_list(&read.list(key)).unwrap_or_else(|(item, fault)| {
        read.fault(key, &item, fault);
        AllowList::Nets(Vec::new())
    })
}

fn level(read: &mut Reader<'_>) -> LogLevel {
    let text = read.text("loglevel");
    parse::log_level(&text).unwrap_or_else(|| {
        let message = format!(
            "loglevel: {text:?} is no level, so it is info (from {})",
            read.layers.source("loglevel")
        );
        read.notes.push(Note { level: LogLevel::Warning, message });
        LogLevel::Info
    })
}

fn account(read: &Reader<'_>, key: &str) -> Option<Account> {
    match read.typed(key) {
        Typed::Int(id) => u32::try_from(id).ok().map(Account::Id),
        Typed::Text(name) => Some(Account::Name(name)),
        _ => None,
    }
}

fn size(value: Typed) -> usize {
    match value {
        Typed::Int(number) => usize::try_from(number).unwrap_or(usize::MAX),
        _ => 0,
    }
}
