//! What the bridge costs: the environ alone, and a whole call of the smallest application.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ferricorn_protocol::{App, Connection, Local, Request, RequestBody, WorkerInfo};
use ferricorn_python::wsgi::{EnvironFactory, WsgiApp};
use pyo3::prelude::*;

// As in the wheel.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Few requests are made in advance, so that they are still in the cache, as they are in the server.
const BATCH: BatchSize = BatchSize::NumIterations(16);

const HELLO: &std::ffi::CStr = c"
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '13')])
    return [b'Hello, world!']
";

/// What a browser sends.
const BROWSER: &[(&str, &str)] = &[
    ("host", "shop.example"),
    ("connection", "keep-alive"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br"),
    ("referer", "http://shop.example/articles?page=2"),
    ("cookie", "sessionid=0123456789abcdef0123456789abcdef; csrftoken=0123456789abcdef"),
    ("upgrade-insecure-requests", "1"),
    ("x-shop-trace", "17"),
];

fn connection() -> Arc<Connection> {
    let peer = SocketAddr::from(([127, 0, 0, 1], 51234));
    let local = Local::Tcp(SocketAddr::from(([127, 0, 0, 1], 8000)));
    Arc::new(Connection::new(Some(peer), local, true))
}

fn request(connection: &Arc<Connection>, headers: &[(&str, &str)]) -> Request {
    let mut head = http::Request::builder().uri("/articles/17");
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    let head = head.body(()).expect("the parts are valid").into_parts().0;
    Request::new(head, connection.clone(), RequestBody::Empty)
}

fn worker() -> WorkerInfo {
    WorkerInfo { age: 1, multiprocess: false, app_threads: 1, log_environ: Vec::new() }
}

fn environ(c: &mut Criterion) {
    Python::initialize();
    let factory = Python::attach(|py| EnvironFactory::new(py, Arc::new(|_| ()))).expect("there is memory");
    let connection = connection();
    let mut group = c.benchmark_group("environ");
    for (name, headers) in [("one header", &BROWSER[..1]), ("browser", BROWSER)] {
        group.bench_function(name, |b| {
            Python::attach(|py| {
                b.iter_batched_ref(
                    || request(&connection, headers),
                    |request| drop(black_box(factory.build(py, request))),
                    BATCH,
                );
            });
        });
    }
    group.finish();
}

fn call(c: &mut Criterion) {
    Python::initialize();
    let app = Python::attach(|py| {
        let module = PyModule::from_code(py, HELLO, c"hello.py", c"hello")?;
        let environs = EnvironFactory::new(py, Arc::new(|_| ()))?;
        WsgiApp::new(module.getattr("app")?, &worker(), "", environs)
    })
    .expect("the application is valid");
    let connection = connection();
    let mut group = c.benchmark_group("call");
    for (name, headers) in [("hello, one header", &BROWSER[..1]), ("hello, browser", BROWSER)] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || request(&connection, headers),
                |request| drop(black_box(app.call(request))),
                BATCH,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, environ, call);
criterion_main!(benches);
