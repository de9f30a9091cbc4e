//! `wsgi.input` behaves as `io.BytesIO` does, whether the body lies in memory or in a file.

use std::io::{Seek, Write};

use ferricorn_protocol::RequestBody;

use crate::support::{Site, get};

/// Makes the same random steps on `wsgi.input` and on a `BytesIO` of the same bytes, and compares.
const COMPARE: &str = "
import io, random
def step(stream, choice, size):
    if choice == 0: return stream.read(size)
    if choice == 1: return stream.readline(size)
    if choice == 2: return stream.readlines(size)
    if choice == 3: return next(iter(stream), 'end')
    if choice == 4: return stream.read()
    if choice == 5: return stream.readline()
    if choice == 6: return [next(stream, 'end') for _ in range(2)]
    return stream.read(None)
def app(environ, start_response):
    seed = int(environ['QUERY_STRING'])
    dice = random.Random(seed)
    expected, given = io.BytesIO(BODY), environ['wsgi.input']
    for _ in range(12):
        choice, size = dice.randrange(40), dice.choice([-1, 0, 1, 2, 7, 100, 70000])
        wanted, got = step(expected, choice % 4, size) if choice > 7 else step(expected, choice, size), None
        got = step(given, choice % 4, size) if choice > 7 else step(given, choice, size)
        assert wanted == got and type(wanted) is type(got), (seed, choice, size, wanted[:50], got[:50])
    start_response('200 OK', [])
    return []
";

fn body() -> Vec<u8> {
    let mut body = b"first\n\nthird\r\nno end of line \xff\x00\n".to_vec();
    body.extend((0..100_000u32).map(|i| if i % 1013 == 0 { b'\n' } else { (i % 251) as u8 }));
    body.extend_from_slice(b"last");
    body
}

fn in_file(body: &[u8]) -> RequestBody {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(body).unwrap();
    file.rewind().unwrap();
    RequestBody::File { file, length: body.len() as u64 }
}

fn site(body: &[u8]) -> Site {
    let literal: Vec<String> = body.iter().map(ToString::to_string).collect();
    Site::new(&format!("BODY = bytes([{}])\n{COMPARE}", literal.join(",")))
}

#[test]
fn every_mix_of_reads_gives_what_a_bytesio_gives() {
    let body = body();
    let site = site(&body);
    for seed in 0..200 {
        for as_file in [false, true] {
            let mut request = get(&format!("/?{seed}"));
            request.body = if as_file { in_file(&body) } else { RequestBody::Memory(body.clone().into()) };
            site.respond(request);
        }
    }
}

#[test]
fn an_empty_body_is_at_its_end_however_it_is_read() {
    let site = site(b"");
    for seed in 0..20 {
        site.respond(get(&format!("/?{seed}")));
    }
}

#[test]
fn a_body_file_that_was_cut_short_is_an_error_not_a_shorter_body() {
    for read in ["read()", "readline()", "readlines()", "read(6)"] {
        let site = Site::new(&format!(
            "
def app(environ, start_response):
    stream = environ['wsgi.input']
    while stream.{read}: pass
"
        ));
        let mut request = get("/");
        let RequestBody::File { file, .. } = in_file(b"whole\n") else { unreachable!() };
        request.body = RequestBody::File { file, length: 100 };
        match site.answer(request) {
            ferricorn_protocol::Answer::Fault(fault) => {
                assert!(fault.message.contains("cut short"), "{read}: {}", fault.message);
            }
            _ => panic!("{read} took a part for the whole"),
        }
    }
}
