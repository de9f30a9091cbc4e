//! The call itself: when the response starts, how it may fail, and what is known after it.

use ferricorn_protocol::{Answer, WorkerInfo};

use crate::support::{Site, collect, get, pieces, worker};

#[test]
fn a_generator_may_start_the_response_with_its_first_piece() {
    let site = Site::new(
        "
ended = []
def app(environ, start_response):
    try:
        start_response('201 Created', [('X-Lazy', '1')])
        yield b'one'
        yield b'two'
    finally:
        ended.append(1)
",
    );
    let response = site.get();
    assert_eq!(response.head.status, 201);
    assert_eq!(collect(response.body), b"onetwo");
    assert_eq!(site.eval("ended.pop()"), "1");
    let (_, rest) = pieces(site.get().body);
    assert_eq!(site.eval("ended"), "[]");
    rest.close().unwrap();
    assert_eq!(site.eval("ended"), "[1]");
}

#[test]
fn an_app_that_never_starts_its_response_fails() {
    for body in ["[b'x']", "[]", "iter([b'x', b'y'])"] {
        let fault = Site::new(&format!("def app(environ, start_response): return {body}")).fail();
        assert_eq!(
            fault.message,
            "AssertionError: the application sent a body before it called start_response"
        );
    }
}

#[test]
fn a_second_start_needs_exc_info_and_then_replaces_the_first() {
    let site = Site::new(
        "
import sys
def app(environ, start_response):
    start_response('200 OK', [('X-First', '1')])
    if environ['QUERY_STRING'] == 'bare':
        start_response('500 Oops', [])
    try:
        1 / 0
    except ZeroDivisionError:
        start_response('500 Oops', [('X-Second', '1')], sys.exc_info())
    return [b'sorry']
",
    );
    let response = site.get();
    assert_eq!(response.head.status, 500);
    assert_eq!(response.head.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-second"]);
    match site.answer(get("/?bare")) {
        Answer::Fault(fault) => {
            assert_eq!(fault.message, "AssertionError: start_response was called twice, without exc_info");
        }
        _ => panic!("the second call was accepted"),
    }
}

#[test]
fn faults_carry_message_traceback_and_exit_status() {
    let failing =
        |statement: &str| Site::new(&format!("def app(environ, start_response):\n    {statement}")).fail();
    let fault = failing("raise ValueError('first line\\nsecond')");
    assert_eq!((fault.message.as_str(), fault.exit), ("ValueError: first line", None));
    let traceback = fault.traceback.unwrap();
    assert!(
        traceback.starts_with("Traceback (most recent call last):\n  File \"shop.py\", line 2"),
        "{traceback}"
    );
    assert!(traceback.ends_with("ValueError: first line\nsecond\n"), "{traceback}");
    assert_eq!(failing("raise SystemExit").exit, Some(0));
    assert_eq!(failing("raise SystemExit(7)").exit, Some(7));
    assert_eq!(failing("raise SystemExit(256 + 3)").exit, Some(3));
    assert_eq!(failing("raise SystemExit('why')").exit, Some(1));
    assert_eq!(failing("raise KeyboardInterrupt").exit, Some(130));
    assert_eq!(
        failing("raise type('Mute', (Exception,), {'__str__': lambda self: 1})").message,
        "Mute: <unprintable>"
    );
}

#[test]
fn environ_values_for_the_access_log_are_those_after_the_call() {
    let names = ["REMOTE_USER", "shop.id", "absent"].map(str::to_owned).to_vec();
    let site = Site::with(
        "
def app(environ, start_response):
    environ['REMOTE_USER'] = 'ada'
    environ['shop.id'] = 17
    start_response('200 OK', [])
    return []
",
        "",
        &WorkerInfo { log_environ: names, ..worker() },
    );
    assert_eq!(site.get().log_environ, [Some("ada".to_owned()), Some("17".to_owned()), None]);
}

#[test]
fn the_validator_of_the_standard_library_finds_nothing() {
    let site = Site::new(
        "
import warnings, wsgiref.validate
warnings.simplefilter('error')
def inner(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    lines = environ['wsgi.input'].readlines() + [environ['wsgi.input'].readline(), environ['wsgi.input'].read(5)]
    environ['wsgi.errors'].write('complaint\\n')
    environ['wsgi.errors'].flush()
    return [b''.join(lines)]
app = wsgiref.validate.validator(inner)
",
    );
    let mut request = get("/a?b=c");
    request.body = ferricorn_protocol::RequestBody::Memory("x\ny".into());
    assert_eq!(collect(site.respond(request).body), b"x\ny");
    assert_eq!(*site.errors.lock().unwrap(), b"complaint\n");
}
