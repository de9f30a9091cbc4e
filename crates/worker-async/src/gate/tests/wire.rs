//! Literal bytes through gate and hyper: what the client gets, and what the app does.

use super::corpus::{BAD, BAD_CHUNKS, GOOD, GOOD_BODIES};
use super::harness::{Client, exchange, run, statuses};

/// What a client receives that never closes: the server must.
async fn left_open(pieces: Vec<&[u8]>, watches: bool) -> String {
    let mut client = Client::with(64 * 1024, watches);
    client.send_all(pieces).await;
    client.rest().await
}

/// The bytes whole, and one by one.
fn both_ways(bytes: &[u8]) -> [Vec<&[u8]>; 2] {
    [vec![bytes], bytes.chunks(1).collect()]
}

#[test]
fn good_heads_reach_the_app_with_their_target() {
    for (text, target) in GOOD {
        for pieces in both_ways(text.as_bytes()) {
            let received = run(exchange(pieces));
            assert_eq!(statuses(&received), [200], "{text:?}: {received}");
            assert!(received.contains(&format!(" {target} ]")) || text.starts_with("CONNECT"), "{received}");
        }
    }
}

#[test]
fn good_bodies_reach_the_app_and_the_next_request_follows() {
    for (text, body) in GOOD_BODIES {
        let bytes = format!("POST /b HTTP/1.1\r\n{text}GET /next HTTP/1.1\r\n\r\n");
        for pieces in both_ways(bytes.as_bytes()) {
            let received = run(exchange(pieces));
            assert!(received.contains(&format!("[POST /b {body}]")), "{text:?}: {received}");
            let closes = text.contains("gzip") || text.contains("deflate");
            assert_eq!(received.contains("[GET /next ]"), !closes, "{text:?}: {received}");
        }
    }
}

#[test]
fn bad_heads_get_their_status_and_never_reach_the_app() {
    for (text, status) in BAD {
        let more = format!("{text}GET /canary HTTP/1.1\r\n\r\n");
        for pieces in both_ways(more.as_bytes()) {
            let mut client_gone = false;
            let received = run(async {
                let mut client = Client::connect();
                for piece in pieces {
                    // The server may have answered and closed before the last byte.
                    client_gone |=
                        tokio::io::AsyncWriteExt::write_all(&mut client.stream, piece).await.is_err();
                    client.settle().await;
                }
                client.rest().await
            });
            assert_eq!(statuses(&received), [*status], "{text:?}: {received}");
            assert!(received.contains("\r\nConnection: close\r\n") && !received.contains('['), "{received}");
        }
    }
}

#[test]
fn broken_chunks_are_an_error_to_the_app_and_the_end() {
    for text in BAD_CHUNKS {
        let bytes = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{text}GET /canary HTTP/1.1\r\n\r\n"
        );
        for pieces in both_ways(bytes.as_bytes()) {
            let received = run(left_open(pieces, true));
            assert_eq!(statuses(&received), [422], "{text:?}: {received}");
            assert!(received.contains("[InvalidData]"), "{text:?}: {received}");
        }
    }
}

#[test]
fn a_body_that_is_cut_short_never_looks_whole() {
    for text in ["Content-Length: 9\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let received = run(exchange([format!("POST / HTTP/1.1\r\n{text}").as_bytes()]));
        assert_eq!(statuses(&received), [422], "{text:?}: {received}");
        assert!(received.contains("[UnexpectedEof]"), "{received}");
    }
}

#[test]
fn good_requests_before_a_bad_one_are_answered() {
    let bytes = b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\nbGET /3\r\n\r\nGET /4 HTTP/1.1\r\n\r\n";
    for watches in [false, true] {
        for pieces in both_ways(bytes) {
            let received = run(left_open(pieces, watches));
            assert_eq!(statuses(&received), [200, 200, 400], "watches {watches}: {received}");
            assert!(received.contains("[GET /1 ]") && received.contains("[POST /2 b]"), "{received}");
        }
    }
}

#[test]
fn a_bad_request_behind_a_slow_one_waits_for_its_answer() {
    for watches in [false, true] {
        let received = run(async {
            let mut client = Client::with(64 * 1024, watches);
            client.send("GET /slow HTTP/1.1\r\n\r\n").await;
            client.send("nonsense\r\n\r\n").await;
            client.rest().await
        });
        assert_eq!(statuses(&received), [200, 400], "watches {watches}: {received}");
    }
}

#[test]
fn many_requests_in_one_piece_are_answered_in_order() {
    let bytes: String =
        (0..500).map(|n| format!("GET /{n}? HTTP/1.1\r\nHost: a\r\nX_{n}: b\r\n\r\n")).collect();
    for size in [1, 7, 100, 1000, bytes.len()] {
        let received = run(async {
            let mut client = Client::with(1 << 20, false);
            client.send_all(bytes.as_bytes().chunks(size)).await;
            tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
            client.rest().await
        });
        let mut from = 0;
        for n in 0..500 {
            let text = format!("[GET /{n}? ]");
            from += received[from..].find(&text).unwrap_or_else(|| panic!("{text} by {size}"));
        }
    }
}

#[test]
fn odd_targets_in_a_pipeline_stay_with_their_requests() {
    let bytes = b"GET /a HTTP/1.1\r\n\r\nGET /b#f HTTP/1.1\r\n\r\nGET /c HTTP/1.3\r\n\r\nPOST /\"d\" HTTP/1.1\r\nContent-Length: 2\r\n\r\nddGET /e HTTP/1.1\r\n\r\n";
    for pieces in both_ways(bytes) {
        let received = run(exchange(pieces));
        assert_eq!(statuses(&received), [200; 5], "{received}");
        for part in ["[GET /a ]", "[GET /b#f ]", "[GET /c ]", "[POST /\"d\" dd]", "[GET /e ]"] {
            assert!(received.contains(part), "{part}: {received}");
        }
    }
}

#[test]
fn after_connect_nothing_is_a_request() {
    let received = run(exchange([b"CONNECT a:1 HTTP/1.1\r\n\r\nGET /canary HTTP/1.1\r\n\r\n".as_slice()]));
    assert_eq!(statuses(&received), [200], "{received}");
    assert!(!received.contains("canary"), "{received}");
}

#[test]
fn half_a_head_at_the_end_gets_no_answer() {
    for text in ["G", "GET / HTTP/1.1\r\nHo", "\r\n", "GET / HTTP/1.1\r\n\r"] {
        assert_eq!(run(exchange([text.as_bytes()])), "", "{text:?}");
    }
    let received = run(exchange([b"GET / HTTP/1.1\r\n\r\nGET".as_slice()]));
    assert_eq!(statuses(&received), [200], "{received}");
}

#[test]
fn an_expectation_is_met_when_the_app_reads() {
    run(async {
        let mut client = Client::connect();
        client.send("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").await;
        assert_eq!(client.receive().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("abc").await;
        assert!(client.receive().await.contains("[POST / abc]"));
    });
}
