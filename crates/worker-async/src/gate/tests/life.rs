//! The life of a connection: phases, wishes, back-pressure, and the end.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::{Client, run, statuses};
use crate::gate::Phase;

#[test]
fn the_phase_says_what_the_connection_waits_for() {
    run(async {
        let mut client = Client::connect();
        client.settle().await;
        assert_eq!(client.shared.phase(), (Phase::Fresh, 0));
        client.send("GET").await;
        assert_eq!(
            client.shared.phase(),
            (Phase::Head, 0),
            "the first head's clock began with the connection"
        );
        client.send(" / HTTP/1.1\r\n\r\n").await;
        let (phase, idle) = client.shared.phase();
        assert_eq!(phase, Phase::Idle);
        client.send("\r\n").await;
        assert_eq!(client.shared.phase(), (Phase::Idle, idle), "a stray CRLF is no request");
        client.send("P").await;
        let (phase, head) = client.shared.phase();
        assert_eq!(phase, Phase::Head);
        assert_ne!(head, idle);
        client.send("OST / HTTP/1.1\r\n").await;
        assert_eq!(client.shared.phase(), (Phase::Head, head), "more bytes do not restart a head's clock");
        client.send("Content-Length: 3\r\n\r\n").await;
        let (phase, body) = client.shared.phase();
        assert_eq!(phase, Phase::Body);
        client.send("a").await;
        let (phase, later) = client.shared.phase();
        assert_eq!(phase, Phase::Body);
        assert_ne!(later, body, "more bytes restart a body's clock");
        client.send("bc").await;
        assert_eq!(client.shared.phase().0, Phase::Idle);
        client.send("GET /slow HTTP/1.1\r\n\r\n").await;
        assert_eq!(client.shared.phase().0, Phase::Deaf, "nobody reads before it is answered");
    });
}

#[test]
fn a_slow_app_is_not_an_idle_client() {
    run(async {
        let mut client = Client::with(1024, true);
        client.send("GET /slow HTTP/1.1\r\n\r\n").await;
        assert_eq!(client.shared.phase().0, Phase::App, "the gate reads, but the client need not send");
        client.shared.fin();
        client.settle().await;
        assert!(client.receive().await.is_empty());
        assert_eq!(statuses(&client.rest().await), [200], "the wish waits for the answer");
    });
}

#[test]
fn an_idle_connection_ends_when_wished_and_a_busy_one_after_its_answer() {
    run(async {
        let mut client = Client::connect();
        client.send("GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(statuses(&client.receive().await), [200]);
        client.shared.fin();
        assert_eq!(client.rest().await, "");

        let mut client = Client::connect();
        client.send("GET / HT").await;
        client.shared.fin();
        client.settle().await;
        client.send("TP/1.1\r\n\r\n").await;
        assert_eq!(statuses(&client.rest().await), [200], "a request on its way is served");
    });
}

#[test]
fn half_a_head_expires_with_an_answer_and_silence_without() {
    run(async {
        let mut client = Client::connect();
        client.send("GET / HT").await;
        client.shared.expire();
        let received = client.rest().await;
        assert!(received.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{received}");
        drop(client.stream);
        assert_eq!(client.server.await.unwrap().unwrap().status, 408);

        let mut client = Client::connect();
        client.settle().await;
        client.shared.expire();
        assert_eq!(client.rest().await, "");
    });
}

#[test]
fn a_wish_that_comes_too_late_does_not_hit_the_next_request() {
    run(async {
        let mut client = Client::connect();
        client.send("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n").await;
        client.stream.write_all(b"a").await.unwrap();
        client.shared.fail_body();
        client.shared.expire();
        assert_eq!(statuses(&client.receive().await), [200]);
        client.send("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n").await;
        client.send("b").await;
        let received = client.receive().await;
        assert!(received.contains("[POST / b]"), "{received}");
    });
}

#[test]
fn a_body_of_which_more_has_come_meanwhile_does_not_fail() {
    run(async {
        let mut client = Client::connect();
        client.send("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n").await;
        client.stream.write_all(b"a").await.unwrap();
        client.shared.fail_body();
        client.settle().await;
        assert_eq!(client.shared.phase().0, Phase::Body);
        client.send("b").await;
        let received = client.receive().await;
        assert!(received.contains("[POST / ab]"), "{received}");
    });
}

#[test]
fn a_body_that_stalls_fails() {
    run(async {
        let mut client = Client::connect();
        client.send("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").await;
        client.shared.fail_body();
        let received = client.rest().await;
        assert!(received.contains("[TimedOut]"), "{received}");
        assert!(received.to_ascii_lowercase().contains("connection: close"), "{received}");
    });
}

#[test]
fn a_client_that_does_not_read_is_seen_and_forgotten_when_it_does() {
    run(async {
        let mut client = Client::with(4096, false);
        client.send("GET /large HTTP/1.1\r\n\r\n").await;
        let blocked = client.shared.write_blocked().expect("the socket is full");
        client.settle().await;
        assert_eq!(client.shared.write_blocked(), Some(blocked));
        let mut some = [0; 4096];
        client.stream.read_exact(&mut some).await.unwrap();
        client.settle().await;
        assert!(
            client.shared.write_blocked().is_some_and(|mark| mark != blocked),
            "progress changes the mark"
        );
        client.stream.read_exact(&mut vec![0; (1 << 20) - 4096]).await.unwrap();
        client.settle().await;
        assert_eq!(client.shared.write_blocked(), None);
    });
}

#[test]
fn a_flush_is_told_when_the_bytes_have_left() {
    run(async {
        let mut client = Client::with(4096, false);
        client.shared.expect_flush();
        client.send("GET /large HTTP/1.1\r\n\r\n").await;
        let shared = client.shared.clone();
        let flushed = std::future::poll_fn(move |cx| shared.poll_flushed(cx));
        let mut flushed = std::pin::pin!(flushed);
        tokio::select! {
            biased;
            () = &mut flushed => panic!("1 MiB cannot have left"),
            () = client.settle() => {}
        }
        let reading = client.stream.read_exact(&mut vec![0; 1 << 20]).await.map(|_| ());
        reading.unwrap();
        let mut scrap = [0; 4096];
        let _ = tokio::time::timeout(Duration::from_secs(1), client.stream.read(&mut scrap)).await;
        flushed.await;
    });
}

#[test]
fn an_answer_is_whole_though_the_request_body_was_not_read() {
    run(async {
        let mut client = Client::with(1024, false);
        client.send("POST /unread HTTP/1.1\r\nContent-Length: 100000\r\n\r\nabc").await;
        let received = client.rest().await;
        let body = received.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(body.len(), 1 << 18);
    });
}

#[test]
fn a_refused_client_may_go_on_sending_for_a_while() {
    run(async {
        let mut client = Client::with(1024, false);
        client.send("nonsense\r\n\r\n").await;
        for _ in 0..100 {
            client.send([b'x'; 1000]).await;
        }
        assert_eq!(statuses(&client.rest().await), [400]);
        let began = tokio::time::Instant::now();
        assert_eq!(client.server.await.unwrap().unwrap().status, 400);
        assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
    });
}

#[test]
fn a_refused_client_that_never_stops_is_cut_off() {
    run(async {
        let mut client = Client::with(64 * 1024, false);
        client.send("nonsense\r\n\r\n").await;
        let mut sent = 0_usize;
        while client.stream.write_all(&[b'x'; 4096]).await.is_ok() {
            sent += 4096;
            assert!(sent < 80 << 20);
        }
        assert!(sent >= 64 << 20, "{sent}");
    });
}

#[test]
fn a_client_that_left_is_not_waited_for() {
    run(async {
        let mut client = Client::connect();
        client.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert_eq!(statuses(&client.rest().await), [200]);
        let began = tokio::time::Instant::now();
        assert_eq!(client.server.await.unwrap(), None);
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    });
}
