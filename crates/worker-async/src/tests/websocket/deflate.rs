//! permessage-deflate (RFC 7692): compressed both ways, each message by itself, and bounded.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::*;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

fn compress(message: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 1024);
    Compress::new(Compression::best(), false).compress_vec(message, &mut bytes, flush).unwrap();
    bytes
}

/// As a client sends it.
fn deflated(message: &[u8]) -> Vec<u8> {
    let mut bytes = compress(message, FlushCompress::Sync);
    bytes.truncate(bytes.len() - 4);
    bytes
}

fn inflated(payload: &[u8], window_bits: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 << 20);
    let payload = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut inflater = Decompress::new_with_window_bits(false, window_bits);
    inflater.decompress_vec(&payload, &mut bytes, FlushDecompress::Sync).unwrap();
    bytes
}

#[test]
fn messages_are_compressed_both_ways() {
    let server = Script::echo().serve();
    for (offer, window) in
        [(OFFER, 15), (&OFFER.replace("client_max_window_bits", "server_max_window_bits=9"), 9)]
    {
        let mut client = server.websocket(offer);
        let message = "the same words again and again, ".repeat(400);
        for _ in 0..3 {
            client.send(&frame(FIN | RSV1 | TEXT, &deflated(message.as_bytes())));
            let (first, payload) = client.read_frame();
            assert_eq!(first, FIN | RSV1 | TEXT);
            assert!(payload.len() < message.len() / 5);
            assert_eq!(inflated(&payload, window), message.as_bytes());
        }
    }
}

#[test]
fn messages_may_stay_as_they_are_and_those_that_zlib_cannot_shorten_do() {
    let server = Script::echo().serve();
    let mut client = server.websocket(OFFER);
    client.send(&frame(FIN | TEXT, b"short"));
    client.expect(FIN | TEXT, "short");
    client.send(&frame(FIN | RSV1 | TEXT, &deflated(b"short")));
    client.expect(FIN | TEXT, "short");
    client.send(&frame(FIN | RSV1 | TEXT, &[0]));
    client.expect(FIN | TEXT, "");
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let noise: Vec<u8> = noise.take(5000).collect();
    client.send(&frame(FIN | BINARY, &noise));
    let (first, payload) = client.read_frame();
    assert!(first == FIN | BINARY && payload == noise);
}

#[test]
fn a_compressed_message_may_be_fragmented_and_may_end_its_stream() {
    let server = Script::echo().serve();
    let mut client = server.websocket(OFFER);
    let message = "a message that is cut somewhere. ".repeat(10);
    let bytes = deflated(message.as_bytes());
    for at in [0, 1, bytes.len() / 2, bytes.len()] {
        client.send(&frame(RSV1 | TEXT, &bytes[..at]));
        client.send(&frame(FIN | PING, b""));
        client.send(&frame(FIN, &bytes[at..]));
        client.expect(FIN | PONG, "");
        let (first, payload) = client.read_frame();
        assert_eq!((first, inflated(&payload, 15)), (FIN | RSV1 | TEXT, message.clone().into_bytes()));
    }
    // RFC 7692 section 7.2.3.4: a block that says it is the last, and a byte.
    let ended = [compress(b"ended", FlushCompress::Finish), vec![0]].concat();
    client.send(&frame(FIN | RSV1 | TEXT, &ended));
    client.expect(FIN | TEXT, "ended");
}

#[test]
fn the_examples_of_the_rfc_are_understood() {
    let server = Script::echo().serve();
    for payload in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ] {
        let mut client = server.websocket(OFFER);
        client.send(&frame(FIN | RSV1 | TEXT, payload));
        client.expect(FIN | TEXT, "Hello");
    }
}

#[test]
fn bombs_broken_data_and_wrong_bits_end_the_websocket() {
    let bomb = deflated(&vec![0; 64 << 20]);
    assert!(bomb.len() < 128 * 1024);
    let half = bomb.len() / 2;
    let fragmented = [frame(RSV1 | BINARY, &bomb[..half]), frame(FIN, &bomb[half..])].concat();
    for (sent, code) in [
        (frame(FIN | RSV1 | BINARY, &bomb), 1009),
        (fragmented, 1009),
        (frame(FIN | RSV1 | TEXT, &[0xff; 20]), 1007),
        (frame(FIN | RSV1 | TEXT, &deflated(b"\xff")), 1007),
        ([frame(RSV1 | TEXT, b""), frame(FIN | RSV1, b"")].concat(), 1002),
        (frame(FIN | RSV1 | PING, b""), 1002),
    ] {
        let script = Script::echo();
        let server = script.serve();
        let mut client = server.websocket(OFFER);
        client.send(&sent);
        client.expect_close(code);
        assert_eq!(script.end().0, code);
        assert!(script.words().heard.is_empty());
    }
}

#[test]
fn it_is_not_agreed_to_where_it_is_switched_off() {
    let server = Script::echo().serve_with(|settings| settings.websocket.per_message_deflate = false);
    let mut client = server.client();
    client.send(request(OFFER).as_bytes());
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains("sec-websocket-extensions"), "{head}");
    client.send(&frame(FIN | RSV1 | TEXT, &deflated(b"hello")));
    client.expect_close(1002);
}
