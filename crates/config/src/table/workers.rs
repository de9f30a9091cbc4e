//! Settings of the chapter "Worker Processes".

use super::Section::WorkerProcesses;
use super::{Kind, Preset, Reload, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "workers",
        WorkerProcesses,
        "Number of worker processes. `auto` means as many as this process may use cores, with cgroup limits \
         and CPU affinity taken into account. At most 1,024.",
    )
    .flags(&["--workers", "-w"])
    .kind(Kind::IntOrAuto(0, 1024), Preset::Int(1))
    .env("WEB_CONCURRENCY")
    .metavar("INT|auto")
    .reload(Reload::Master),
    Setting::new(
        "worker_class",
        WorkerProcesses,
        "How the app is driven: `async` finds out from the app, and `asgi` is `async` for ASGI apps only (`interface`). \
         `sync` and `gthread` are gunicorn's names for `async` with one and with several app threads; how many there \
         are is what `threads` says, with each of them. `gevent` runs a WSGI app on greenlets (`pip install \
         'ferricorn[gevent]'`). uvicorn's worker classes for gunicorn mean `asgi`. Slow clients block none.",
    )
    .flags(&["--worker-class", "-k"])
    .kind(Kind::Class, Preset::Text("async"))
    .metavar("NAME"),
    Setting::new(
        "threads",
        WorkerProcesses,
        "App threads per worker: how many calls of a WSGI app may run at the same time in one worker, 256 at most. They \
         are started when calls wait, and kept. Calls that are fast run on one of them, which also drives the event \
         loop. An ASGI app has one event loop and needs none.",
    )
    .flags(&["--threads"])
    .count(1),
    Setting::new(
        "worker_connections",
        WorkerProcesses,
        "How many connections one worker holds at most. Beyond that, and when descriptors run out, the one that \
         has been idle longest is closed for the next client; if none is idle, clients wait in the backlog or go \
         to another worker. With gevent as many greenlets run at the same time. A tenth of the files that may be open, and 32 at least, is left to the app.",
    )
    .flags(&["--worker-connections"])
    .int(1, i64::MAX, 1000),
    Setting::new(
        "max_requests",
        WorkerProcesses,
        "How many requests a worker serves before it is replaced, against memory that leaks; 0 means never. It serves \
         on until the next one is ready, and one worker at a time is replaced, so it may be more.",
    )
    .flags(&["--max-requests"])
    .count(0),
    Setting::new(
        "max_requests_jitter",
        WorkerProcesses,
        "At most this many requests are added to `max_requests`, drawn once per worker, so that workers are not \
         all replaced at the same time.",
    )
    .flags(&["--max-requests-jitter"])
    .count(0),
    Setting::new(
        "max_worker_memory",
        WorkerProcesses,
        "Mebibytes of memory of its own, shared with no other process, beyond which a worker is replaced; 0 means never. \
         The master looks every 10 seconds. The worker serves on until the next one is ready, and one at a time is \
         replaced. It bounds nothing at once: for that there are limits of the container. gunicorn has no such setting.",
    )
    .flags(&["--max-worker-memory"])
    .int(0, 1 << 32, 0)
    .metavar("MIB")
    .reload(Reload::Master),
    Setting::new(
        "max_worker_lifetime",
        WorkerProcesses,
        "Seconds that a worker serves before it is replaced; 0 means for ever. It serves on until the next one is ready, \
         and one at a time is replaced. gunicorn has no such setting.",
    )
    .flags(&["--max-worker-lifetime"])
    .seconds(0)
    .reload(Reload::Master),
    Setting::new(
        "timeout",
        WorkerProcesses,
        "Seconds without progress after which a worker is killed and replaced; 0 means never. With one app thread it \
         bounds each request of a WSGI app. With several, one long request is no reason: all of them must be busy for so \
         long, or Python must let none of them in. Of an ASGI app it bounds a turn of the event loop. The error log names the request and shows its Python stack.",
    )
    .flags(&["--timeout", "-t"])
    .int(0, 31_536_000, 30)
    .reload(Reload::Master),
    Setting::new(
        "queue_timeout",
        WorkerProcesses,
        "Seconds that a request to a WSGI app may wait for a free app thread, also a fraction of one; 0 means any \
         time. Then it is answered with 503 and Retry-After, and the app never sees it. Who waits is on a kept-alive \
         connection of a worker that is busy; new clients go to other workers. The access log's `%(queue)s` tells each \
         wait. gunicorn has no such setting.",
    )
    .flags(&["--queue-timeout"])
    .seconds(0),
    Setting::new(
        "request_timeout",
        WorkerProcesses,
        "Seconds, also a fraction of one, that the app may take for a request; 0 means any time. Then the client gets a 504, or \
         its connection is closed if the answer has begun, and the call is interrupted: a task is cancelled, a thread gets \
         the exception `ferricorn.RequestTimeout`. A thread that cannot be interrupted costs its worker, which is replaced \
         when its other requests have ended. The app may ask for more time. See docs/deadlines.md. gunicorn has no such \
         setting.",
    )
    .flags(&["--request-timeout"])
    .seconds(0),
    Setting::new(
        "graceful_timeout",
        WorkerProcesses,
        "Seconds that requests in flight have to end when a worker stops. What is left then is killed.",
    )
    .flags(&["--graceful-timeout"])
    .int(0, 31_536_000, 30)
    .reload(Reload::Master),
    Setting::new(
        "drain_delay",
        WorkerProcesses,
        "Seconds for which the server goes on accepting after TERM, before it ends as it does without; fractions are allowed, and \
         0 means at once. For balancers that need a while to hear that it ends, as those of Kubernetes do: meanwhile each \
         answer says `Connection: close`. A second TERM, INT or QUIT ends the delay.",
    )
    .flags(&["--drain-delay"])
    .seconds(0)
    .reload(Reload::Master),
    Setting::new(
        "boot_timeout",
        WorkerProcesses,
        "Seconds that a new worker may take until it is ready to serve. One that takes longer is killed, with its Python \
         stack in the error log; a reload has failed then, and the old workers serve on. If this is not set, a longer \
         `timeout` counts. gunicorn has no such setting; `timeout` bounds the boot there.",
    )
    .flags(&["--boot-timeout"])
    .int(1, 31_536_000, 60)
    .reload(Reload::Master),
    Setting::new(
        "reload_surge",
        WorkerProcesses,
        "How many workers more than `workers` there may be while a reload replaces them, the old ones that finish their \
         requests included. With more than 1 a reload is faster and takes more memory for a while. gunicorn has no such \
         setting, and starts all new workers at once.",
    )
    .flags(&["--reload-surge"])
    .int(1, 1024, 1)
    .reload(Reload::Master),
    Setting::new(
        "keepalive",
        WorkerProcesses,
        "Seconds for which an idle connection is kept; 0 closes after each response. The default is longer than \
         gunicorn's 2 s, since idle connections are cheap here and load balancers keep theirs for 60 s.",
    )
    .flags(&["--keep-alive"])
    .int(0, 31_536_000, 75),
    Setting::new(
        "interface",
        WorkerProcesses,
        "How the app is called: `wsgi`, `asgi`, or `auto`, which finds out from the app. What has both interfaces, \
         or hides which one it has, needs to be told.",
    )
    .flags(&["--interface"])
    .choice(&["auto", "wsgi", "asgi"], "auto")
    .metavar("auto|wsgi|asgi"),
    Setting::new(
        "asgi_loop",
        WorkerProcesses,
        "The event loop of ASGI apps: `asyncio`, `uvloop`, or `auto`, which is uvloop where it can be imported.",
    )
    .flags(&["--asgi-loop"])
    .choice(&["auto", "asyncio", "uvloop"], "auto")
    .metavar("auto|asyncio|uvloop"),
    Setting::new(
        "asgi_lifespan",
        WorkerProcesses,
        "Whether ASGI apps are told that the server starts and stops: `on` and `off` say so, and `auto` tells them, \
         but goes on without where an app does not know lifespan. A start-up that the app reports as failed ends \
         the boot.",
    )
    .flags(&["--asgi-lifespan"])
    .choice(&["auto", "on", "off"], "auto")
    .metavar("auto|on|off"),
    Setting::new(
        "asgi_disconnect_grace_period",
        WorkerProcesses,
        "Seconds that an ASGI app has to end a request whose client has left, before its task is cancelled.",
    )
    .flags(&["--asgi-disconnect-grace-period"])
    .int(0, 31_536_000, 3),
    Setting::new(
        "websocket_max_message_size",
        WorkerProcesses,
        "Bytes that a WebSocket message may have, after it was inflated; 0 means no limit. A longer one ends the \
         connection with code 1009.",
    )
    .flags(&["--websocket-max-message-size"])
    .count(16_777_216),
    Setting::new(
        "ws_ping_interval",
        WorkerProcesses,
        "Seconds of silence after which the client of a WebSocket is pinged; 0 means never. The name is uvicorn's.",
    )
    .flags(&["--ws-ping-interval"])
    .seconds(20),
    Setting::new(
        "ws_ping_timeout",
        WorkerProcesses,
        "Seconds that the client of a WebSocket has to answer a ping before the connection is closed; 0 means any \
         time. The name is uvicorn's.",
    )
    .flags(&["--ws-ping-timeout"])
    .seconds(20),
    Setting::new(
        "ws_per_message_deflate",
        WorkerProcesses,
        "Whether WebSocket messages are compressed for clients that offer it (RFC 7692). The name is uvicorn's.",
    )
    .flags(&["--ws-per-message-deflate"])
    .kind(Kind::Bool, Preset::Bool(true))
    .metavar("true|false"),
    Setting::new("http_parser", WorkerProcesses, "Which of gunicorn's two parsers is used.")
        .flags(&["--http-parser"])
        .choice(&["auto", "fast", "python"], "auto")
        .ignored("there is one parser"),
];
