//! The grammars of single settings: addresses, networks, header names, levels, worker classes.

use std::net::IpAddr;
use std::path::PathBuf;

use http::HeaderName;
use ipnet::IpNet;

use crate::{AllowList, Bind, LogLevel, LogTarget, WorkerClass};

/// What was expected instead, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Reads on after "... is not ".
    pub(crate) expected: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), hint: None }
    }
}

/// An address of `bind`, in the forms of gunicorn's `parse_address`.
pub(crate) fn bind(text: &str) -> Result<Bind, Fault> {
    let fault = || Fault::new("an address: HOST, HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or fd://N");
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() { Err(fault()) } else { Ok(Bind::Unix(PathBuf::from(path))) };
    }
    if let Some(number) = text.strip_prefix("fd://") {
        return number.parse().ok().filter(|&fd: &i32| fd >= 0).map(Bind::Fd).ok_or_else(fault);
    }
    let text = text.strip_prefix("tcp://").unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(fault)?;
            (host, after.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            Some(_) => {
                let hint = Some(format!("write an IPv6 address in brackets, as in [{text}]:8000"));
                return Err(Fault { hint, ..fault() });
            }
            None => (text, None),
        },
    };
    let port = match port {
        None => 8000,
        Some(port) => port.parse().map_err(|_| Fault::new("an address: its port must be from 0 to 65535"))?,
    };
    let host = if host.is_empty() { "0.0.0.0".to_owned() } else { host.to_ascii_lowercase() };
    Ok(Bind::Tcp { host, port })
}

/// `forwarded_allow_ips` and `proxy_allow_ips`: `*`, or addresses and networks. As in gunicorn, a network has
/// no bits behind its prefix: who writes them may have meant a single address.
pub(crate) fn allow_list(items: &[String]) -> Result<AllowList, (String, Fault)> {
    if items.iter().any(|item| item == "*") {
        return Ok(AllowList::All);
    }
    let net = |item: &String| match (item.parse::<IpNet>(), item.parse::<IpAddr>()) {
        (Ok(net), _) if net == net.trunc() => Ok(net),
        (Ok(net), _) => {
            let hint = Some(format!("write {} or {}", net.trunc(), net.addr()));
            Err((item.clone(), Fault { hint, ..Fault::new("a network: it has bits behind its prefix") }))
        }
        (_, Ok(address)) => Ok(IpNet::from(address.to_canonical())),
        _ => Err((item.clone(), Fault::new("an address, a network such as 10.0.0.0/8, or *"))),
    };
    items.iter().map(net).collect::<Result<_, _>>().map(AllowList::Nets)
}

/// A name of `secure_scheme_headers`.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| Fault::new("the name of a header"))
}

/// An entry of `raw_env`.
pub(crate) fn variable(text: &str) -> Result<(String, String), Fault> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(Fault::new("an environment variable, KEY=VALUE")),
    }
}

/// A log's target; `dash` is what `-` means.
pub(crate) fn log_target(text: &str, dash: LogTarget) -> LogTarget {
    if text == "-" { dash } else { LogTarget::File(PathBuf::from(text)) }
}

/// A log level, by the names of Python's `logging`; `None` for other words, which mean `info` in gunicorn.
pub(crate) fn log_level(text: &str) -> Option<LogLevel> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Some(LogLevel::Debug),
        "info" => Some(LogLevel::Info),
        "warning" => Some(LogLevel::Warning),
        "error" => Some(LogLevel::Error),
        "critical" => Some(LogLevel::Critical),
        _ => None,
    }
}

/// A `root_path`: as every framework expects it, so that it can be put before a path.
pub(crate) fn root_path(text: &str) -> Result<String, Fault> {
    let path = text.trim_end_matches('/');
    let plain = !path.starts_with("//") && !path.contains(|c: char| c.is_control() || "?#".contains(c));
    match path {
        "" => Ok(String::new()),
        _ if path.starts_with('/') && plain => Ok(path.to_owned()),
        _ => {
            let bare = !path.contains(['/', ':', '?', '#']) && plain;
            Err(Fault {
                hint: bare.then(|| format!("write /{path}")),
                ..Fault::new("a path such as /api, without a host and a query")
            })
        }
    }
}

/// What is said of a worker class that nobody here knows.
const USERS_OWN: &str = "worker classes written in Python cannot drive this server; use async, sync or gthread, gevent for \
     greenlets, or asgi. Of a class that is derived from UvicornWorker the CONFIG_KWARGS count";

/// Whether a worker class is none that this version knows, or knows to advise on, but may be one in Python.
pub(crate) fn is_a_users_own(text: &str) -> bool {
    let unknown = worker_class(text).is_err_and(|fault| fault.hint.as_deref() == Some(USERS_OWN));
    unknown && text.contains(['.', ':', '\''])
}

/// A worker class, by the names of gunicorn and of those who write workers for it, or as Python shows the class.
pub(crate) fn worker_class(text: &str) -> Result<WorkerClass, Fault> {
    let shown = text.strip_prefix("<class '").and_then(|name| name.strip_suffix("'>"));
    let name = shown.unwrap_or(text);
    let instead = match name.strip_prefix("egg:gunicorn#").unwrap_or(name) {
        "async" => return Ok(WorkerClass::Async),
        "sync" | "gunicorn.workers.sync.SyncWorker" => return Ok(WorkerClass::Sync),
        "gthread" | "gunicorn.workers.gthread.ThreadWorker" => return Ok(WorkerClass::Gthread),
        "gevent"
        | "gevent_wsgi"
        | "gevent_pywsgi"
        | "gunicorn.workers.ggevent.GeventWorker"
        | "gunicorn.workers.ggevent.GeventPyWSGIWorker" => return Ok(WorkerClass::Gevent),
        "asgi" | "gunicorn.workers.gasgi.ASGIWorker" => return Ok(WorkerClass::Asgi),
        "uvicorn.workers.UvicornWorker"
        | "uvicorn.workers.UvicornH11Worker"
        | "uvicorn_worker.UvicornWorker"
        | "uvicorn_worker.UvicornH11Worker"
        | "uvicorn_worker._workers.UvicornWorker"
        | "uvicorn_worker._workers.UvicornH11Worker" => return Ok(WorkerClass::Asgi),
        "tornado" | "gunicorn.workers.gtornado.TornadoWorker" => {
            "a WSGI app needs no Tornado here: use async or gthread; an app of Tornado's own runs on Tornado's server"
        }
        "eventlet" | "gunicorn.workers.geventlet.EventletWorker" => {
            "eventlet is no longer maintained; use gthread with --threads, for Flask-SocketIO with async_mode='threading' \
             and simple-websocket, or gevent"
        }
        "geventwebsocket.gunicorn.workers.GeventWebSocketWorker" => {
            "use gevent, and simple-websocket in place of gevent-websocket (for Flask-Sock and Flask-SocketIO)"
        }
        name if name.starts_with("aiohttp.") => {
            "an aiohttp app is neither WSGI nor ASGI; run it with aiohttp's own web.run_app"
        }
        _ => USERS_OWN,
    };
    let expected =
        "a worker class that this version of ferricorn has (async, sync, gthread, gevent, asgi)".to_owned();
    Err(Fault { expected, hint: Some(instead.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Result<Bind, Fault> {
        Ok(Bind::Tcp { host: host.into(), port })
    }

    #[test]
    fn addresses_have_gunicorns_forms() {
        assert_eq!(bind("127.0.0.1:80"), tcp("127.0.0.1", 80));
        assert_eq!(bind("Example.org"), tcp("example.org", 8000));
        assert_eq!(bind(":9000"), tcp("0.0.0.0", 9000));
        assert_eq!(bind(""), tcp("0.0.0.0", 8000));
        assert_eq!(bind("[::1]:0"), tcp("::1", 0));
        assert_eq!(bind("[::]"), tcp("::", 8000));
        assert_eq!(bind("tcp://h:1"), tcp("h", 1));
        assert_eq!(bind("unix:/run/a.sock"), Ok(Bind::Unix("/run/a.sock".into())));
        assert_eq!(bind("unix:///run/a.sock"), Ok(Bind::Unix("/run/a.sock".into())));
        assert_eq!(bind("fd://3"), Ok(Bind::Fd(3)));
        for wrong in ["h:port", "h:65536", "h:-1", "[::1", "fd://x", "fd://-1", "unix:", "h:"] {
            assert!(bind(wrong).is_err(), "{wrong}");
        }
        assert!(bind("::1").unwrap_err().hint.unwrap().contains("[::1]:8000"));
    }

    #[test]
    fn trust_takes_addresses_and_networks() {
        let list =
            |items: &[&str]| allow_list(&items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>());
        assert_eq!(list(&["127.0.0.1", "*"]).unwrap(), AllowList::All);
        let nets = list(&["10.0.0.0/8", "::ffff:192.0.2.1", "fe80::/10"]).unwrap();
        assert!(nets.contains(&"10.9.9.9:1".parse().unwrap()));
        assert!(nets.contains(&"[::ffff:10.0.0.1]:1".parse().unwrap()));
        assert!(nets.contains(&"192.0.2.1:1".parse().unwrap()));
        assert!(!nets.contains(&"192.0.2.2:1".parse().unwrap()));
        assert!(!list(&[]).unwrap().contains(&"127.0.0.1:1".parse().unwrap()));
        assert_eq!(list(&["10.0.0.0/33"]).unwrap_err().0, "10.0.0.0/33");
        let (item, fault) = list(&["10.1.2.3/8"]).unwrap_err();
        assert_eq!(
            (item.as_str(), fault.hint.unwrap().as_str()),
            ("10.1.2.3/8", "write 10.0.0.0/8 or 10.1.2.3")
        );
        // A peer of a listener for both families is found in the form in which the kernel shows it, too.
        assert!(list(&["::ffff:0:0/96"]).unwrap().contains(&"[::ffff:10.0.0.1]:1".parse().unwrap()));
        assert!(list(&["::/0"]).unwrap().contains(&"[::1]:1".parse().unwrap()));
        assert!(!list(&["::/0"]).unwrap().contains(&"10.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn a_root_path_begins_with_a_slash_and_ends_with_none() {
        for (given, path) in
            [("", ""), ("/", ""), ("/api", "/api"), ("/api/v1//", "/api/v1"), ("/ä b", "/ä b")]
        {
            assert_eq!(root_path(given).as_deref(), Ok(path), "{given:?}");
        }
        assert_eq!(root_path("api/").unwrap_err().hint.unwrap(), "write /api");
        for wrong in ["https://example.org/api", "//example.org", "/api?x", "/api#x", "/a\nb", "api/v1"] {
            assert!(root_path(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_foreign_worker_class_is_told_what_to_use() {
        assert_eq!(worker_class("sync"), Ok(WorkerClass::Sync));
        assert_eq!(worker_class("egg:gunicorn#gthread"), Ok(WorkerClass::Gthread));
        for gevent in
            ["gevent", "egg:gunicorn#gevent_pywsgi", "<class 'gunicorn.workers.ggevent.GeventWorker'>"]
        {
            assert_eq!(worker_class(gevent), Ok(WorkerClass::Gevent), "{gevent}");
        }
        for asgi in [
            "asgi",
            "egg:gunicorn#asgi",
            "uvicorn_worker.UvicornH11Worker",
            "<class 'uvicorn.workers.UvicornWorker'>",
        ] {
            assert_eq!(worker_class(asgi), Ok(WorkerClass::Asgi), "{asgi}");
        }
        for (foreign, told) in [
            ("tornado", "async or gthread"),
            ("egg:gunicorn#eventlet", "gthread with --threads"),
            ("geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "simple-websocket"),
            ("aiohttp.GunicornUVLoopWebWorker", "web.run_app"),
        ] {
            let fault = worker_class(foreign).unwrap_err();
            assert!(fault.hint.unwrap().contains(told), "{foreign}");
        }
        assert!(
            worker_class("app.workers.MyUvicornWorker").unwrap_err().hint.unwrap().contains("CONFIG_KWARGS")
        );
        assert!(
            worker_class("meinheld.gmeinheld.MeinheldWorker")
                .unwrap_err()
                .hint
                .unwrap()
                .contains("async, sync or gthread")
        );
    }
}
