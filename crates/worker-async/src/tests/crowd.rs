//! More clients than there are places: who has been idle longest makes room, and nobody else.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use ferricorn_protocol::Drive;

use super::app::{TestApp, full};
use super::{Client, DRIVES, PATIENCE, Server, body};

const PLACES: usize = 10;

/// An app whose `/wait` tells that it was entered, and waits to be let go, for which it must be one that blocks.
fn crowded(drive: Drive) -> (Server, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, told) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let app = TestApp::of(drive, move |request| {
        if request.head.uri.path() == "/wait" {
            begun.send(()).unwrap();
            gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        full("served")
    });
    (Server::with(app, |settings| settings.worker_connections = PLACES), told, go)
}

fn ask(client: &mut Client) {
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until("served");
}

/// Connections that were served once, in order.
fn fill(server: &Server) -> Vec<Client> {
    let mut clients: Vec<_> = (0..PLACES).map(|_| server.client()).collect();
    clients.iter_mut().for_each(ask);
    clients
}

fn is_closed(client: &mut Client) -> bool {
    client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut byte = [0];
    let read = std::io::Read::read(&mut client.stream, &mut byte);
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match read {
        Ok(count) => count == 0,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection did not end in order");
            false
        }
    }
}

#[test]
fn a_newcomer_takes_the_place_of_who_was_idle_longest() {
    for drive in DRIVES {
        let (server, ..) = crowded(drive);
        let mut clients = fill(&server);
        ask(&mut clients[0]);
        let mut newcomer = server.client();
        ask(&mut newcomer);
        let closed: Vec<_> = clients.iter_mut().map(is_closed).collect();
        assert_eq!(closed.iter().position(|&closed| closed), Some(1));
        assert_eq!(closed.iter().filter(|&&closed| closed).count(), 1, "{closed:?}");
        clients.remove(1);
        clients.iter_mut().for_each(ask);
    }
}

#[test]
fn connections_at_rest_make_room_too() {
    for drive in DRIVES {
        let (server, ..) = crowded(drive);
        let mut clients = fill(&server);
        // After two looks of the sweeper they rest.
        std::thread::sleep(Duration::from_millis(1200));
        clients[1..].iter_mut().for_each(ask);
        ask(&mut server.client());
        assert!(is_closed(&mut clients[0]));
        assert!(!clients[1..].iter_mut().any(is_closed));
    }
}

#[test]
fn nobody_is_closed_before_somebody_knocks() {
    for drive in DRIVES {
        let (server, ..) = crowded(drive);
        let mut clients = fill(&server);
        std::thread::sleep(Duration::from_millis(700));
        assert!(!clients.iter_mut().any(is_closed));
    }
}

#[test]
fn half_a_request_and_one_in_the_app_keep_their_places() {
    let (server, told, go) = crowded(Drive::Seat);
    let mut clients = fill(&server);
    for client in &mut clients[..5] {
        client.send(b"GET / HTTP/1.1\r\nHo");
    }
    for client in &mut clients[5..9] {
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    }
    // Once this call has begun, the loop has read what the others sent before it.
    clients[9].send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    told.recv_timeout(PATIENCE).unwrap();
    let mut newcomer = server.client();
    newcomer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!is_closed(&mut clients[0]));
    go.send(()).unwrap();
    // Nobody was idle, so the first who is answered makes room, and is told so.
    let received = clients[9].read_to_end();
    assert_eq!(body(&received), "served");
    assert!(received.contains("connection: close\r\n"), "{received}");
    newcomer.read_until("served");
    for client in &mut clients[..5] {
        client.send(b"st: a\r\n\r\n");
        client.read_until("served");
    }
    for client in &mut clients[5..9] {
        client.send(b"cd");
        client.read_until("served");
    }
}

#[test]
fn silent_clients_make_room_after_a_while() {
    for drive in DRIVES {
        let (server, ..) = crowded(drive);
        let mut silent: Vec<_> = (0..PLACES).map(|_| server.client()).collect();
        let began = Instant::now();
        ask(&mut server.client());
        assert!(began.elapsed() < PATIENCE, "they kept their places for {:?}", began.elapsed());
        assert_eq!(silent.iter_mut().filter_map(|client| is_closed(client).then_some(())).count(), 1);
    }
}
