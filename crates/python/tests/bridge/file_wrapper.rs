//! `wsgi.file_wrapper`: which files the server sends by itself, and which it reads through Python.

use std::os::unix::fs::FileExt;

use ferricorn_protocol::{FileBody, ResponseBody};

use crate::support::{Site, collect};

/// An application that wraps what `open_it` returns.
fn wrapping(open_it: &str, headers: &str) -> Site {
    Site::new(&format!(
        "
import gzip, io, os, tempfile
path = os.path.join(tempfile.mkdtemp(), 'file')
with open(path, 'wb') as f: f.write(b'0123456789')
class Custom:
    def __init__(self): self.closed = False; self.inner = open(path, 'rb')
    def read(self, size): return self.inner.read(size).replace(b'5', b'five')
    def fileno(self): return self.inner.fileno()
    def close(self): self.closed = True; self.inner.close()
def at(position, **options):
    f = open(path, 'rb', **options)
    f.read(position)
    return f
def temporary(position):
    f = tempfile.NamedTemporaryFile()
    f.write(b'0123456789')
    f.seek(position)
    return f
def zipped():
    with gzip.open(path + '.gz', 'wb') as f: f.write(b'unzipped')
    return gzip.open(path + '.gz')
def app(environ, start_response):
    global wrapped
    wrapped = {open_it}
    start_response('200 OK', [{headers}])
    return environ['wsgi.file_wrapper'](wrapped, 4)
"
    ))
}

fn file(body: ResponseBody) -> FileBody {
    match body {
        ResponseBody::File(file) => file,
        _ => panic!("the server was not given the file itself"),
    }
}

#[test]
fn plain_files_are_sent_from_where_they_stand_and_closed_at_the_end() {
    for (open_it, offset) in [("at(0)", 0), ("at(3)", 3), ("at(3, buffering=0)", 3), ("temporary(2)", 2)] {
        let site = wrapping(open_it, "");
        let body = file(site.get().body);
        assert_eq!((body.offset, body.length), (offset, 10 - offset), "{open_it}");
        let mut bytes = vec![0; usize::try_from(body.length).unwrap()];
        body.file.read_exact_at(&mut bytes, body.offset).unwrap();
        assert_eq!(bytes, &b"0123456789"[usize::try_from(offset).unwrap()..]);
        assert_eq!(site.eval("wrapped.closed"), "False");
        body.rest.unwrap().close().unwrap();
        assert_eq!(site.eval("wrapped.closed"), "True");
        // The server's own descriptor stays good.
        body.file.read_exact_at(&mut bytes, body.offset).unwrap();
    }
}

#[test]
fn no_more_is_sent_than_the_content_length() {
    let body = file(wrapping("at(1)", "('Content-Length', '5')").get().body);
    assert_eq!((body.offset, body.length), (1, 5));
    let body = file(wrapping("at(1)", "('Content-Length', '50')").get().body);
    assert_eq!((body.offset, body.length), (1, 9));
}

#[test]
fn a_file_at_its_end_is_an_empty_body() {
    let site = wrapping("at(10)", "");
    assert!(matches!(site.get().body, ResponseBody::Empty));
    assert_eq!(site.eval("wrapped.closed"), "True");
}

#[test]
fn anything_else_is_read_in_blocks() {
    for (open_it, expected) in [
        ("io.BytesIO(b'in memory')", &b"in memory"[..]),
        ("zipped()", b"unzipped"),
        ("Custom()", b"01234five6789"),
    ] {
        let site = wrapping(open_it, "");
        assert_eq!(collect(site.get().body), expected, "{open_it}");
        assert_eq!(site.eval("wrapped.closed"), "True", "{open_it}");
    }
}
