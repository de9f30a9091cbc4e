//! Connections that live on: keep-alive, pipelining, and their ends.

use std::time::Duration;

use super::app::{TestApp, full};
use super::{DRIVES, PATIENCE, Server, body};

#[test]
fn a_connection_serves_one_request_after_the_other() {
    for drive in DRIVES {
        let server = Server::new(TestApp::echo_of(drive));
        let mut client = server.client();
        for number in 0..3 {
            client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let response = client.read_until(&format!("GET /{number} "));
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
            assert!(response.contains("server: ferricorn\r\n"), "{response}");
            assert!(response.contains("\r\ndate: "), "{response}");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_a_bad_one_ends_them() {
    for drive in DRIVES {
        let server = Server::new(TestApp::echo_of(drive));
        let sent =
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
        GET /3 HTTP/1.1\r\nBad Header: x\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n";
        let received = server.exchange(sent);
        let (first, second) = (received.find("GET /1 ").unwrap(), received.find("POST /2 hi").unwrap());
        let bad = received.find("HTTP/1.1 400 Bad Request\r\n").unwrap();
        assert!(first < second && second < bad, "{received}");
        assert!(received[bad..].contains("Connection: close\r\n"), "{received}");
        assert!(!received.contains("/4"), "{received}");
    }
}

#[test]
fn http_1_0_closes_unless_it_asks_to_keep_alive() {
    for drive in DRIVES {
        let server = Server::new(TestApp::echo_of(drive));
        let received = server.exchange(b"GET /a HTTP/1.0\r\n\r\n");
        assert_eq!(body(&received), "GET /a ");
        let mut client = server.client();
        client.send(b"GET /b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert!(client.read_until("GET /b ").to_lowercase().contains("connection: keep-alive\r\n"));
        client.send(b"GET /c HTTP/1.0\r\n\r\n");
        assert_eq!(body(&client.read_to_end()), "GET /c ");
    }
}

#[test]
fn keep_alive_of_zero_closes_after_each_response() {
    for drive in DRIVES {
        let server = Server::with(TestApp::echo_of(drive), |settings| settings.keepalive = Duration::ZERO);
        let received = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(received.contains("connection: close\r\n"), "{received}");
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    for drive in DRIVES {
        let server =
            Server::with(TestApp::echo_of(drive), |settings| settings.keepalive = Duration::from_secs(1));
        let mut client = server.client();
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_until("GET / ");
        assert_eq!(client.read_to_end(), "");
    }
}

#[test]
fn a_drain_serves_what_is_in_flight_and_closes_after_it() {
    let (begun, told) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let server = Server::new(TestApp::new(move |_| {
        begun.send(()).unwrap();
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        full("done")
    }));
    let mut client = server.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    told.recv_timeout(PATIENCE).unwrap();
    server.worker.lifecycle.drain();
    go.send(()).unwrap();
    let received = client.read_to_end();
    assert_eq!(body(&received), "done");
    assert!(received.contains("connection: close\r\n"), "{received}");
}

#[test]
fn a_worker_that_has_served_max_requests_serves_on_until_it_is_told_to_leave() {
    for drive in DRIVES {
        let server = Server::with(TestApp::echo_of(drive), |settings| settings.max_requests = 2);
        let mut client = server.client();
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_until("GET /1 ");
        client.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_until("GET /2 ");
        assert!(server.worker.lifecycle.spent());
        assert!(!server.worker.lifecycle.draining());
        client.send(b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.read_until("GET /3 ");
    }
}

#[test]
fn a_connection_that_rested_serves_on() {
    for drive in DRIVES {
        let server = Server::new(TestApp::echo_of(drive));
        let mut client = server.client();
        for number in 0..2 {
            client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            client.read_until(&format!("GET /{number} "));
            // Two looks of the sweeper: after the first the connection may rest.
            std::thread::sleep(Duration::from_millis(1200));
        }
        client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n");
        client.send(&[b'x'; 3000]);
        assert!(client.read_until(&"x".repeat(3000)).contains("POST /body "));
        std::thread::sleep(Duration::from_millis(1200));
        client.send(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n");
        assert!(client.read_to_end().starts_with("HTTP/1.1 400 "));
    }
}
