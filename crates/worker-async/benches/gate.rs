//! What the gate costs: the scan of a head, and a whole read through it beside a bare one.

use criterion::{Criterion, criterion_group, criterion_main};
use ferricorn_worker_async::gate_bench::{Reader, follow_chunks, scan_head};

const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";

const BROWSER: &[u8] = b"GET /account/orders?page=2&sort=date HTTP/1.1\r\n\
Host: shop.example.com\r\n\
Connection: keep-alive\r\n\
sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Referer: https://shop.example.com/account\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
Cookie: sessionid=3k9dk20dk3l2ks0d9fk3l2lsk3; csrftoken=9s8d7f6s9d8f7s9d8f7s9d8f7s98df7\r\n\
\r\n";

fn gate(criterion: &mut Criterion) {
    criterion.bench_function("head/small", |bench| bench.iter(|| scan_head(std::hint::black_box(SMALL))));
    criterion.bench_function("head/browser", |bench| bench.iter(|| scan_head(std::hint::black_box(BROWSER))));

    let mut small = Reader::new(SMALL);
    assert_eq!(small.read(), SMALL.len());
    criterion.bench_function("read/small", |bench| bench.iter(|| small.read()));
    criterion.bench_function("read/small without gate", |bench| bench.iter(|| small.bare()));
    let mut browser = Reader::new(BROWSER);
    criterion.bench_function("read/browser", |bench| bench.iter(|| browser.read()));
    criterion.bench_function("read/browser without gate", |bench| bench.iter(|| browser.bare()));

    let mut chunks = Vec::new();
    for _ in 0..16 {
        chunks.extend_from_slice(b"1000\r\n");
        chunks.extend_from_slice(&[b'x'; 4096]);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(follow_chunks(&chunks), chunks.len());
    criterion.bench_function("chunks/64 KiB", |bench| bench.iter(|| follow_chunks(&chunks)));
}

criterion_group!(benches, gate);
criterion_main!(benches);
