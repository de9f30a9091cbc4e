//! Clients that dawdle, and calls that last: neither holds up the others.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::app::{TestApp, full};
use super::{Client, PATIENCE, Server, body};

#[test]
fn half_sent_heads_and_slow_uploads_delay_nobody() {
    let server = Server::new(TestApp::echo());
    let mut slow: Vec<Client> = (0..200).map(|_| server.client()).collect();
    for client in &mut slow {
        client.send(b"GET /slow HTTP/1.1\r\nHost:");
    }
    let mut upload = server.client();
    upload.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab");
    let began = Instant::now();
    for _ in 0..20 {
        let received = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(body(&received), "GET / ");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "twenty requests took {:?}", began.elapsed());
    upload.send(b"cd");
    assert_eq!(body(&upload.read_to_end()), "POST /upload abcd");
    for client in &mut slow {
        client.send(b" a\r\nConnection: close\r\n\r\n");
        assert_eq!(body(&client.read_to_end()), "GET /slow ");
    }
}

#[test]
fn a_head_that_does_not_come_is_answered_408() {
    let server =
        Server::with(TestApp::echo(), |settings| settings.deadlines.head = Duration::from_millis(500));
    let mut silent = server.client();
    let mut half = server.client();
    half.send(b"GET / HTTP/1.1\r\nHos");
    assert!(half.read_to_end().starts_with("HTTP/1.1 408 "));
    assert_eq!(silent.read_to_end(), "");
}

#[test]
fn a_body_that_does_not_come_is_answered_408() {
    let server =
        Server::with(TestApp::echo(), |settings| settings.deadlines.body = Duration::from_millis(500));
    let mut half = server.client();
    half.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    let received = half.read_to_end();
    assert!(received.starts_with("HTTP/1.1 408 "), "{received}");
}

#[test]
fn a_body_that_drips_is_answered_408_and_one_that_flows_is_not() {
    let server = Server::with(TestApp::echo(), |settings| {
        settings.deadlines.body = Duration::from_secs(1);
        settings.deadlines.body_rate = 100;
    });
    let mut clients = [server.client(), server.client()];
    for client in &mut clients {
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9000\r\n\r\n");
    }
    let [mut drips, mut flows] = clients;
    let dripping = std::thread::spawn(move || {
        drips.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut answer = [0; 12];
        while drips.stream.write_all(b"x").is_ok() {
            if drips.stream.read_exact(&mut answer).is_ok() {
                break;
            }
        }
        answer
    });
    for _ in 0..30 {
        flows.send(&[b'x'; 300]);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(body(&flows.read_to_end()).len(), "POST / ".len() + 9000);
    assert_eq!(&dripping.join().unwrap(), b"HTTP/1.1 408");
}

#[test]
fn while_a_call_lasts_the_loop_goes_on_and_the_next_call_waits_its_turn() {
    let (begun, told) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let server = Server::new(TestApp::new(move |request| {
        if request.head.uri.path() == "/long" {
            begun.send(()).unwrap();
            gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        full(request.head.uri.path().to_owned())
    }));
    let mut early = server.client();
    early.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    early.read_until("/1");
    let mut long = server.client();
    long.send(b"GET /long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    told.recv_timeout(PATIENCE).unwrap();
    // The loop is driven by another thread: a bad request is refused at once.
    early.send(b"GET / HTTP/9\r\n\r\n");
    assert!(early.read_to_end().starts_with("HTTP/1.1 "));
    // A worker without a free app thread leaves new clients in the backlog, for a sibling to serve.
    let mut late = server.client();
    late.send(b"GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    go.send(()).unwrap();
    assert_eq!(body(&long.read_to_end()), "/long");
    assert_eq!(body(&late.read_to_end()), "/late");
}

#[test]
fn a_client_that_stops_reading_is_dropped() {
    let server = Server::with(TestApp::new(|_| full(vec![b'x'; 32 << 20])), |settings| {
        settings.deadlines.write = Duration::from_millis(500);
    });
    let mut client = server.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let deadline = Instant::now() + PATIENCE;
    while server.worker.connections.count() == 0 {
        assert!(Instant::now() < deadline, "the client was not accepted");
        std::thread::sleep(Duration::from_millis(5));
    }
    server.wait_until_empty();
}
