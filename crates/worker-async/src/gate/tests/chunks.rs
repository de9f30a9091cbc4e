//! The chunk scanner alone: every row of the corpus, whole and in parts, and the limits.

use super::corpus::{BAD_CHUNKS, GOOD_BODIES};
use crate::gate::chunked::ChunkScanner;
use crate::gate::rules::HeadRules;

/// Reads in pieces of this size: how many bytes are the body's, if it ended, or that it is broken.
fn read(bytes: &[u8], step: usize) -> Result<Option<usize>, usize> {
    read_by(bytes, step, &HeadRules::standard())
}

fn read_by(bytes: &[u8], step: usize, rules: &HeadRules) -> Result<Option<usize>, usize> {
    let mut scanner = ChunkScanner::new();
    let mut total = 0;
    for piece in bytes.chunks(step) {
        let taken = scanner.consume(piece, rules).map_err(|(good, _)| total + good)?;
        total += taken;
        if scanner.is_done() {
            return Ok(Some(total));
        }
        assert_eq!(taken, piece.len(), "all belongs to a body that has not ended");
    }
    Ok(None)
}

#[test]
fn good_bodies_end_where_they_end() {
    for (text, _) in GOOD_BODIES {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        if head.contains("Length") || head.contains("LeNgTh") {
            continue;
        }
        let more = format!("{body}GET / HTTP/1.1\r\n");
        for step in [1, 2, 3, 5, more.len()] {
            assert_eq!(read(more.as_bytes(), step), Ok(Some(body.len())), "{body:?} by {step}");
        }
        for cut in 0..body.len() {
            assert_eq!(read(&body.as_bytes()[..cut], 1024), Ok(None), "{body:?} cut at {cut}");
        }
    }
}

#[test]
fn broken_bodies_are_found_however_they_arrive() {
    for text in BAD_CHUNKS {
        let whole = read(text.as_bytes(), text.len());
        assert!(whole.is_err(), "{text:?}: {whole:?}");
        for step in 1..5 {
            assert_eq!(read(text.as_bytes(), step), whole, "{text:?} by {step}");
        }
    }
}

#[test]
fn data_passes_in_one_step_whatever_it_holds() {
    let body = [b"10000\r\n".as_slice(), &[b'\n'; 0x10000], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(read(&body, body.len()), Ok(Some(body.len())));
    assert_eq!(read(b"7fffffffffffffff\r\nabc", 100), Ok(None));
    assert_eq!(read(b"8000000000000000\r\nabc", 100), Err(15));
    assert_eq!(read(b"FfFfFfFfFfFfFfFf\r\nabc", 100), Err(15));
}

#[test]
fn nothing_grows_without_bound() {
    assert!(read(&[b'0'; 1 << 20], 4096).is_err(), "zeros");
    let extension = [b"0;".as_slice(), &[b'a'; 1 << 20]].concat();
    assert!(read(&extension, 4096).is_err(), "one extension");
    let extensions = b"1;abcdefgh\r\nx\r\n".repeat(2000);
    assert!(read(&extensions, 4096).is_err(), "many extensions");
    let trailer = [b"0\r\nX: ".as_slice(), &[b'a'; 9000]].concat();
    assert!(read(&trailer, 4096).is_err(), "one trailer");
    let trailers = [b"0\r\n".as_slice(), &b"X: a\r\n".repeat(101), b"\r\n"].concat();
    assert!(read(&trailers, 4096).is_err(), "many trailers");
    let trailers = [b"0\r\n".as_slice(), &b"X: a\r\n".repeat(100), b"\r\n"].concat();
    assert_eq!(read(&trailers, 4096), Ok(Some(trailers.len())));
    let field = [b"X: ".as_slice(), &[b'a'; 4000], b"\r\n"].concat();
    let trailers = [b"0\r\n".as_slice(), &field.repeat(5), b"\r\n"].concat();
    assert!(read(&trailers, 4096).is_err(), "large trailers");
}

#[test]
fn limits_hold_to_the_byte() {
    let rules = HeadRules { line: 100, fields: 2, field_size: 10, head: 1000, ..HeadRules::standard() };
    assert_eq!(read_by(b"0;345678\r\n\r\n", 1, &rules), Ok(Some(12)));
    assert_eq!(read_by(b"0;3456789\r\n\r\n", 1, &rules), Err(10));
    assert_eq!(read_by(b"0\r\nX: 45678\r\nX: 45678\r\n\r\n", 1, &rules), Ok(Some(25)));
    assert_eq!(read_by(b"0\r\nX: 456789\r\n\r\n", 1, &rules), Err(13));
}
