//! How long an access line takes, from the request to the buffer.

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ferricorn_config::LogTarget;
use ferricorn_protocol::{Connection, Local, Request, RequestBody};
use ferricorn_telemetry::AccessLog;
use ferricorn_telemetry::access_log::End;
use http::{HeaderMap, StatusCode};

const DEFAULT: &str = r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#;

fn request() -> Request {
    let request = http::Request::builder()
        .uri("/articles/2026/11?page=2")
        .header("host", "www.example.com")
        .header("accept", "*/*")
        .header("referer", "https://www.example.com/articles/")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
    let (head, ()) = request.body(()).expect("a sound request").into_parts();
    let address = "127.0.0.1:54321".parse().expect("a sound address");
    let connection = Connection::new(Some(address), Local::Tcp(address), true);
    Request::new(head, Arc::new(connection), RequestBody::Empty)
}

fn line(criterion: &mut Criterion) {
    let target = LogTarget::File("/dev/null".into());
    let request = request();
    let headers = HeaderMap::new();
    for (name, format) in [("default", DEFAULT), ("with time taken", &format!("{DEFAULT} %(D)s %(L)s"))] {
        let log = AccessLog::new(&target, format, "").expect("a sound format and /dev/null");
        criterion.bench_function(&format!("access line, {name}"), |bencher| {
            bencher.iter(|| {
                let mut capture = log.begin(&request);
                log.head(&mut capture, StatusCode::OK, &headers);
                log.end(capture, &End { bytes: 13, elapsed: Duration::from_micros(120), ..End::default() });
            });
        });
    }
}

criterion_group!(benches, line);
criterion_main!(benches);
