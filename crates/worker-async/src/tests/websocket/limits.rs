//! How large a message may be, and in how many pieces it may come.

use super::*;

fn serve(script: &Script, limit: Option<u64>) -> Server {
    script.serve_with(|settings| settings.websocket.max_message_size = limit)
}

#[test]
fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    let script = Script::echo();
    let server = serve(&script, Some(1000));
    let mut client = server.websocket("");
    client.send(&frame(FIN | BINARY, &[7; 1000]));
    assert_eq!(client.read_frame().1.len(), 1000);
    client.send(&[frame(BINARY, &[7; 600]), frame(FIN, &[7; 400])].concat());
    assert_eq!(client.read_frame().1.len(), 1000);
    // What the header announces is enough.
    client.send(&frame(FIN | BINARY, &[7; 1001])[..8]);
    client.expect_close(1009);
    let mut client = server.websocket("");
    client.send(&[frame(BINARY, &[7; 600]), frame(0, &[7; 401])].concat());
    client.expect_close(1009);
}

#[test]
fn no_limit_means_none_and_nothing_is_set_aside_for_what_has_not_come() {
    let script = Script::echo();
    let server = serve(&script, None);
    let mut client = server.websocket("");
    let mut header = vec![FIN | BINARY, 0xff];
    header.extend_from_slice(&(i64::MAX as u64).to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    client.send(&header);
    client.send(&[0; 100]);
    let mut other = server.websocket("");
    other.send(&frame(FIN | TEXT, b"hello"));
    other.expect(FIN | TEXT, "hello");
}

#[test]
fn fragments_are_many_or_small_but_not_both() {
    let script = Script::echo();
    let server = serve(&script, None);
    let of_64 = |count| {
        let mut frames = frame(TEXT, &[b'a'; 64]);
        (1..count).for_each(|_| frames.extend(frame(0, &[b'a'; 64])));
        frames.extend(frame(FIN, b""));
        frames
    };
    let mut client = server.websocket("");
    client.send(&of_64(20_000));
    assert_eq!(client.read_frame().1.len(), 64 * 20_000);
    let mut frames = frame(TEXT, b"");
    (0..17_000).for_each(|_| frames.extend(frame(0, b"a")));
    client.send(&frames);
    client.expect_close(1009);
}
