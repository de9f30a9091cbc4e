//! `wsgi.early_hints`: what of it reaches the client, and what the application is told is wrong.

use std::sync::Arc;

use ferricorn_protocol::Answer;
use http::Version;

use crate::support::{Client, Site, get, pieces};

const HINTER: &str = "
raised = []
def app(environ, start_response):
    hint = environ['wsgi.early_hints']
    for headers in hints:
        try: hint(headers)
        except Exception as error: raised.append(f'{type(error).__name__}: {error}')
    start_response('200 OK', [])
    hint([('Link', '</after-start>')])
    return [b'done']
";

/// What the client got, and what the application was told, after hints that Python's expression gives.
fn hints(expression: &str, version: Version) -> (Vec<Vec<String>>, String) {
    let site = Site::new(&format!("hints = {expression}\n{HINTER}"));
    let client = Arc::new(Client::default());
    let mut request = get("/");
    request.head.version = version;
    request.early = Some(client.clone());
    assert!(matches!(site.answer(request), Answer::Response(_)));
    (client.hints.lock().unwrap().clone(), site.eval("raised"))
}

#[test]
fn hints_reach_the_client_until_the_head_is_sent() {
    let given = "[[('Link', '</a.css>; rel=preload'), ('link', '</b>')], iter([['X-Any', ' b '], (b'X-Bytes', b'c')])]";
    let (got, raised) = hints(given, Version::HTTP_11);
    assert_eq!(raised, "[]");
    assert_eq!(
        got,
        [
            vec!["link: </a.css>; rel=preload", "link: </b>"],
            vec!["x-any: b", "x-bytes: c"],
            vec!["link: </after-start>"]
        ]
    );
}

#[test]
fn a_client_of_http_1_0_gets_none_and_nothing_is_raised() {
    assert_eq!(
        hints("[[('Link', '</a>')], [('bad name', 'x')]]", Version::HTTP_10),
        (vec![], "[]".to_owned())
    );
}

#[test]
fn what_http_cannot_carry_raises_and_is_not_sent() {
    for (headers, told) in [
        ("[('Link', 'a\\r\\nSet-Cookie: b')]", "has a control character"),
        ("[('Link', 'a\\n')]", "has a control character"),
        ("[('Link', 'a\\0')]", "has a control character"),
        ("[('Link', b'a\\rb')]", "has a control character"),
        ("[('Li nk', 'a')]", "is not a token"),
        ("[('Link\\r\\n', 'a')]", "is not a token"),
        ("[('Link', '\\u20ac')]", "is not latin-1"),
        ("[('Link',)]", "a header must be (name, value)"),
        ("[('Link', 'x' * 20000)]", "early hints are longer than 16384 bytes"),
    ] {
        let (got, raised) = hints(&format!("[{headers}]"), Version::HTTP_11);
        assert_eq!(got, [["link: </after-start>"]], "{headers}");
        assert!(raised.contains("ValueError: ") && raised.contains(told), "{raised}");
    }
    let (_, raised) = hints("[[('Link', 1)], 7]", Version::HTTP_11);
    assert_eq!(raised.matches("TypeError: ").count(), 2, "{raised}");
}

#[test]
fn what_frames_or_belongs_to_the_server_is_left_out() {
    let (got, raised) =
        hints("[[('Content-Length', '3'), ('Connection', 'close'), ('Link', 'a')]]", Version::HTTP_11);
    assert_eq!((got[0].as_slice(), raised.as_str()), (&["link: a".to_owned()][..], "[]"));
}

#[test]
fn once_the_head_is_sent_hints_do_nothing() {
    let site = Site::new(
        "
def app(environ, start_response):
    hint = environ['wsgi.early_hints']
    write = start_response('200 OK', [])
    write(b'one')
    hint([('bad name', 'x')])
    yield b'two'
    hint([('Link', 'late')])
    yield b'three'
",
    );
    let client = Arc::new(Client::default());
    let mut request = get("/");
    request.early = Some(client.clone());
    let Answer::Begun(body) = site.answer(request) else { panic!("the head was not sent") };
    let (first, mut rest) = pieces(body);
    assert_eq!(first, "two");
    assert_eq!(rest.next().unwrap().unwrap(), "three");
    rest.close().unwrap();
    assert_eq!(*client.hints.lock().unwrap(), Vec::<Vec<String>>::new());
}

#[test]
fn hints_of_another_thread_do_nothing() {
    let site = Site::new(
        "
import threading
def app(environ, start_response):
    thread = threading.Thread(target=environ['wsgi.early_hints'], args=([('Link', 'a')],))
    thread.start()
    thread.join()
    start_response('200 OK', [])
    return []
",
    );
    let client = Arc::new(Client::default());
    let mut request = get("/");
    request.early = Some(client.clone());
    assert!(matches!(site.answer(request), Answer::Response(_)));
    assert_eq!(*client.hints.lock().unwrap(), Vec::<Vec<String>>::new());
}
