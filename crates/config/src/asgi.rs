//! The settings of ASGI apps and WebSockets: their types, and how they are resolved.

use std::time::Duration;

use crate::parse;
use crate::reader::Reader;
use crate::{LogLevel, Note, WorkerClass};

/// How the app is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// As the app itself shows.
    Auto,
    /// By PEP 3333.
    Wsgi,
    /// By ASGI, version 3 or 2.
    Asgi,
}

/// What concerns ASGI apps alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsgiSettings {
    /// Which event loop hosts the worker.
    pub event_loop: AsgiLoop,
    /// Whether the app is told of start and stop.
    pub lifespan: Lifespan,
    /// Time between a client's leaving and the cancellation of what still serves it.
    pub disconnect_grace: Duration,
    /// The scope's `root_path`: empty, or a path that begins with one slash and ends with none.
    pub root_path: String,
}

/// An event loop of Python's (gunicorn's `asgi_loop`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsgiLoop {
    /// uvloop if it can be imported, else asyncio's own.
    Auto,
    /// asyncio's own.
    Asyncio,
    /// uvloop; not to have it is an error.
    Uvloop,
}

/// Whether the lifespan protocol is spoken (gunicorn's `asgi_lifespan`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifespan {
    /// If the app knows it.
    Auto,
    /// Yes; an app that does not know it is an error.
    On,
    /// No.
    Off,
}

/// What concerns WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketSettings {
    /// Bytes of one message, inflated; `None` if unlimited.
    pub max_message_size: Option<u64>,
    /// Time between two pings; `None` if there are none.
    pub ping_interval: Option<Duration>,
    /// Time to answer a ping; `None` if unlimited.
    pub ping_timeout: Option<Duration>,
    /// Whether permessage-deflate is agreed to (RFC 7692).
    pub per_message_deflate: bool,
}

/// How the app is driven and called, from the two settings that may both say it.
pub(crate) fn class_and_interface(read: &mut Reader<'_>) -> (WorkerClass, Interface) {
    let name = read.text("worker_class");
    let class = read.parsed("worker_class", &name, parse::worker_class(&name), WorkerClass::Async);
    let interface = match (read.text("interface").as_str(), class) {
        ("wsgi", WorkerClass::Asgi) => {
            let hint = format!(
                "remove it to serve an ASGI app, or the worker class to serve a WSGI app (worker_class is from {})",
                read.layers.source("worker_class")
            );
            read.refuse("interface", "\"wsgi\" contradicts the worker class, which is for ASGI", Some(&hint));
            Interface::Wsgi
        }
        ("asgi", WorkerClass::Gevent) => {
            let hint = format!(
                "remove the worker class to serve an ASGI app, which needs no greenlets (worker_class is from {})",
                read.layers.source("worker_class")
            );
            read.refuse("interface", "\"asgi\" contradicts the worker class, which is for WSGI", Some(&hint));
            Interface::Asgi
        }
        ("wsgi", _) => Interface::Wsgi,
        ("asgi", _) | (_, WorkerClass::Asgi) => Interface::Asgi,
        _ => Interface::Auto,
    };
    (class, interface)
}

pub(crate) fn asgi(read: &mut Reader<'_>, class: WorkerClass) -> AsgiSettings {
    let mut event_loop = match read.text("asgi_loop").as_str() {
        "asyncio" => AsgiLoop::Asyncio,
        "uvloop" => AsgiLoop::Uvloop,
        _ => AsgiLoop::Auto,
    };
    let name = read.text("worker_class");
    if class == WorkerClass::Asgi && name.contains("vicorn") {
        let mut meaning = "asgi, this server's own HTTP and WebSocket under the app".to_owned();
        // uvicorn's class of that name is made of asyncio's loop and h11.
        if name.contains("H11") && read.is_default("asgi_loop") {
            event_loop = AsgiLoop::Asyncio;
            meaning.push_str(", and asgi_loop asyncio");
        }
        let source = read.layers.source("worker_class");
        let mut message = format!("worker_class {name} means {meaning} (from {source})");
        if read.is_default("real_ip_header") {
            message.push_str(
                "; behind a proxy set --real-ip-header X-Forwarded-For, or the app takes the proxy for its client",
            );
        }
        read.notes.push(Note { level: LogLevel::Info, message });
    }
    let root_path = read.text("root_path");
    AsgiSettings {
        event_loop,
        lifespan: match read.text("asgi_lifespan").as_str() {
            "on" => Lifespan::On,
            "off" => Lifespan::Off,
            _ => Lifespan::Auto,
        },
        disconnect_grace: read.seconds("asgi_disconnect_grace_period"),
        root_path: read.parsed("root_path", &root_path, parse::root_path(&root_path), String::new()),
    }
}

pub(crate) fn websocket(read: &Reader<'_>) -> WebSocketSettings {
    WebSocketSettings {
        max_message_size: Some(read.int("websocket_max_message_size")).filter(|&size| size > 0),
        ping_interval: read.limit("ws_ping_interval"),
        ping_timeout: read.limit("ws_ping_timeout"),
        per_message_deflate: read.switch("ws_per_message_deflate"),
    }
}
