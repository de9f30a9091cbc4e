//! A worker with nothing to do sleeps, and one that waits for its app says that it lives.
//!
//! The loop notes the time whenever it has turned, so a note that does not change is a loop that slept.

use std::sync::Mutex;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use ferricorn_protocol::Answer;

use super::app::{TestApp, full};
use super::{PATIENCE, Server, wait_for};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

impl Server {
    /// When the loop last turned.
    fn beat(&self) -> u64 {
        self.scoreboard.snapshot(0).unwrap().beat_ms
    }

    fn is_quiet_for(&self, time: Duration) -> bool {
        let before = self.beat();
        sleep(time);
        self.beat() == before
    }
}

#[test]
fn idle_connections_wake_nobody() {
    let apps =
        [TestApp::new(|_| full("ok")), TestApp::in_task(|_| full("ok")), TestApp::hosted(|_| full("ok"))];
    let servers = apps.map(|app| {
        let server = Server::new(app);
        let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(GET);
            client.read_until("\r\n\r\nok");
        }
        (server, clients)
    });
    for (server, _) in &servers {
        wait_for("sleep", || server.is_quiet_for(Duration::from_millis(700)));
    }
    let before = servers.each_ref().map(|(server, _)| server.beat());
    sleep(Duration::from_secs(3));
    assert_eq!(servers.each_ref().map(|(server, _)| server.beat()), before);
    for (server, clients) in servers {
        for mut client in clients {
            client.send(GET);
            client.read_until("\r\n\r\nok");
        }
        assert!(server.beat() > 0);
    }
}

#[test]
fn a_connection_that_slept_is_closed_at_its_time() {
    for app in [TestApp::new(|_| full("ok")), TestApp::hosted(|_| full("ok"))] {
        let server = Server::with(app, |settings| {
            settings.keepalive = Duration::from_secs(4);
            settings.deadlines.head = Duration::from_secs(1);
        });
        let mut client = server.client();
        client.send(GET);
        client.read_until("\r\n\r\nok");
        wait_for("sleep", || server.is_quiet_for(Duration::from_millis(700)));
        // Another's deadline is kept meanwhile, though it comes after the sweeper lay down.
        let mut half = server.client();
        half.send(b"GET / HTTP/1.1\r\nHos");
        assert!(half.read_to_end().starts_with("HTTP/1.1 408 "));
        assert_eq!(client.read_to_end(), "");
    }
}

#[test]
fn while_a_request_waits_for_something_the_loop_says_that_it_turns() {
    for kind in [TestApp::in_task, TestApp::hosted] {
        let app = kind(|_| Answer::Later(Box::pin(std::future::pending())));
        let server = Server::with(app, |settings| settings.timeout = Some(Duration::from_millis(400)));
        let mut client = server.client();
        client.send(GET);
        wait_for("the request", || server.worker.slot.is_busy());
        for _ in 0..3 {
            let before = server.beat();
            wait_for("a beat", || server.beat() != before);
        }
        drop(client);
        server.wait_until_empty();
        wait_for("sleep", || server.is_quiet_for(Duration::from_millis(700)));
    }
}

#[test]
fn a_hosted_app_that_blocks_the_loop_stops_its_beat() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let app = TestApp::hosted(move |_| {
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        full("ok")
    });
    let server = Server::with(app, |settings| settings.timeout = Some(Duration::from_millis(200)));
    let mut client = server.client();
    client.send(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for("the request", || server.worker.slot.is_busy());
    wait_for("a stop", || server.is_quiet_for(Duration::from_millis(700)));
    let seen = server.scoreboard.snapshot(0).unwrap();
    assert_eq!(seen.in_flight[0].path, "/stuck");
    go.send(()).unwrap();
    client.read_until("\r\n\r\nok");
}
