//! Bodies: whole ones, those in pieces, and those that fail.

use ferricorn_protocol::ResponseBody;

use super::returning;
use crate::support::{collect, pieces};

#[test]
fn lists_and_tuples_are_whole_bodies() {
    for (expression, body) in [
        ("[]", &b""[..]),
        ("()", b""),
        ("[b'']", b""),
        ("[b'one']", b"one"),
        ("(b'one',)", b"one"),
        ("[b'a', b'', b'b']", b"ab"),
        ("(b'a', b'b')", b"ab"),
    ] {
        let response = returning(expression).get();
        assert!(matches!(response.body, ResponseBody::Full(_) | ResponseBody::Empty), "{expression}");
        assert_eq!(collect(response.body), body, "{expression}");
    }
    let large = returning("[b'x' * 40000, b'y' * 40000]").get();
    assert!(matches!(large.body, ResponseBody::Pulled { .. }));
    assert_eq!(collect(large.body).len(), 80000);
}

#[test]
fn a_large_body_outlives_the_python_object_and_its_thread() {
    let response = returning("[b'z' * 1000000]").get();
    let ResponseBody::Full(bytes) = response.body else { panic!("a list of one is a whole body") };
    std::thread::spawn(move || {
        assert!(bytes.len() == 1_000_000 && bytes.iter().all(|&byte| byte == b'z'));
    })
    .join()
    .unwrap();
    returning("[b'next']").get();
}

#[test]
fn a_body_of_the_wrong_type_is_named() {
    for (expression, message) in [
        ("['text']", "TypeError: the body of a WSGI response must be bytes, not str"),
        ("[b'a', bytearray()]", "TypeError: the body of a WSGI response must be bytes, not bytearray"),
        ("Body([1])", "TypeError: the body of a WSGI response must be bytes, not int"),
        ("'text'", "TypeError: the body of a WSGI response must be bytes, not str"),
        ("None", "TypeError: the application returned None instead of an iterable of bytes"),
        ("7", "TypeError: 'int' object is not iterable"),
    ] {
        assert_eq!(returning(expression).fail().message, message);
    }
}

#[test]
fn pieces_are_pulled_one_at_a_time_and_closed_once() {
    let site = returning("Body([b'', b'a', b'', b'b'])");
    let (first, mut rest) = pieces(site.get().body);
    assert_eq!(first, "a");
    assert_eq!(rest.next().unwrap().unwrap(), "b");
    assert_eq!(site.eval("closed"), "0");
    assert!(rest.next().unwrap().is_none());
    rest.close().unwrap();
    assert_eq!(site.eval("closed"), "1");
}

#[test]
fn a_body_without_bytes_is_closed_in_the_call() {
    let site = returning("Body([b'', b''])");
    assert!(matches!(site.get().body, ResponseBody::Empty));
    assert_eq!(site.eval("closed"), "1");
}

#[test]
fn a_failure_before_the_first_piece_is_a_fault_and_closes() {
    let site = returning("Body([KeyError('x')])");
    assert_eq!(site.fail().message, "KeyError: 'x'");
    assert_eq!(site.eval("closed"), "1");
}

#[test]
fn a_failure_later_is_the_pieces_own() {
    let site = returning("Body([b'a', KeyError('x')])");
    let (_, mut rest) = pieces(site.get().body);
    let fault = rest.next().unwrap_err();
    assert_eq!(fault.message, "KeyError: 'x'");
    assert!(fault.traceback.unwrap().contains("in __next__"));
    rest.close().unwrap();
    assert_eq!(site.eval("closed"), "1");
}

#[test]
fn pieces_that_are_dropped_are_closed_by_the_next_call() {
    let site = returning("Body([b'a', b'b'])");
    let (_, rest) = pieces(site.get().body);
    std::thread::spawn(move || drop(rest)).join().unwrap();
    // Calls of other tests may come first; what counts is that one of them closes it.
    let (_, other) = pieces(site.get().body);
    assert_eq!(site.eval("closed"), "1");
    other.close().unwrap();
    assert_eq!(site.eval("closed"), "2");
}
