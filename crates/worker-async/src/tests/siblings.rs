//! Several workers at one listener: no client waits for one that is busy, full or about to leave.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ferricorn_config::Settings;
use ferricorn_protocol::Drive;
use ferricorn_unix::listener::Options;
use ferricorn_unix::scoreboard::Scoreboard;
use ferricorn_unix::{Address, Bell, Listener, Notices};
use nix::unistd::{Pid, gettid};
use proptest::prelude::*;

use super::app::{TestApp, full};
use super::{Client, PATIENCE, body, settings, wait_for};
use crate::run::assemble;
use crate::worker::Worker;
use crate::{door, life};

/// Workers that share a listener, as those of a master do.
struct Family {
    address: SocketAddr,
    listener: Listener,
    board: Scoreboard,
    bell: Bell,
    workers: Vec<(Arc<Worker>, JoinHandle<()>)>,
    /// The main thread of each.
    threads: Vec<Pid>,
}

impl Family {
    fn new() -> Self {
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
        let listener =
            Listener::bind(&address, Options { backlog: 256, umask: 0, reuse_port: false }).unwrap();
        let ferricorn_unix::Local::Tcp(address) = *listener.local() else { panic!("not TCP") };
        let (board, bell) = (Scoreboard::create().unwrap(), Bell::create().unwrap());
        Self { address, listener, board, bell, workers: Vec::new(), threads: Vec::new() }
    }

    /// Starts one more, whose app answers with its number.
    fn add(
        &mut self,
        drive: Drive,
        call: impl Fn(&str) + Send + Sync + 'static,
        change: impl FnOnce(&mut Settings),
    ) {
        let number = self.workers.len();
        let mut settings = settings();
        change(&mut settings);
        let slot = self.board.slot(number).unwrap();
        let (listener, bell) = (self.listener.clone(), self.bell.clone());
        let notices = Notices::create().unwrap();
        let app = TestApp::of(drive, move |request| {
            call(request.head.uri.path());
            full(number.to_string())
        });
        let (made, worker) = mpsc::channel();
        let (tell, ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            let (driver, worker) = assemble(settings, Arc::new(app), slot, None).unwrap();
            let live =
                life::live(worker.clone(), vec![listener], || {}, move |report| tell.send(report).unwrap());
            driver.enter(|| {
                worker.spawner.spawn(live);
                worker.spawner.spawn(door::answer(worker.clone(), bell, notices));
            });
            made.send((worker.clone(), gettid())).unwrap();
            driver.run(&worker).unwrap();
        });
        let (worker, main) = worker.recv().unwrap();
        self.workers.push((worker, thread));
        self.threads.push(main);
        ready.recv_timeout(PATIENCE).unwrap();
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new() }
    }

    /// Who serves a client that comes and goes.
    fn ask(&self, path: &str) -> usize {
        let mut client = self.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes());
        body(&client.read_to_end()).parse().unwrap()
    }

    /// A connection that stays, and who serves it.
    fn keep(&self) -> (Client, usize) {
        let mut client = self.client();
        client.send(b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n");
        let numbered = |read: &[u8]| read.last().is_some_and(|last| last.is_ascii_digit());
        let whole = |read: &[u8]| String::from_utf8_lossy(read).contains("\r\n\r\n") && numbered(read);
        let answer = client.read_while(|read| !whole(read));
        (client, body(&answer).parse().unwrap())
    }

    /// Waits until every worker waits for clients. Who is not asleep is passed over.
    fn wait_until_asleep(&self) {
        for thread in &self.threads {
            let state = || fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
            wait_for("sleep", || state().contains(") S "));
        }
    }

    fn connections(&self) -> Vec<u32> {
        self.workers.iter().map(|(worker, _)| worker.slot.connections()).collect()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for (worker, _) in &self.workers {
            worker.seat.stop();
        }
        for (_, thread) in self.workers.drain(..) {
            let joined = thread.join();
            assert!(joined.is_ok() || thread::panicking(), "a worker panicked");
        }
    }
}

const SEATS: [Drive; 3] = [Drive::Seat, Drive::Seat, Drive::Seat];

#[test]
fn a_worker_whose_app_threads_are_all_in_calls_that_last_leaves_clients_to_its_siblings() {
    for threads in [1, 2] {
        leaves_clients_to_its_siblings(threads);
    }
}

/// With so many app threads in each of three workers, of which all but one are in calls that last.
fn leaves_clients_to_its_siblings(threads: usize) {
    let mut family = Family::new();
    let (begin, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Arc::new(Mutex::new(gone));
    for drive in SEATS {
        let (begin, gone) = (begin.clone(), gone.clone());
        let call = move |path: &str| {
            if path == "/wait" {
                begin.send(()).unwrap();
                gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
        };
        family.add(drive, call, |settings| settings.threads = threads);
    }
    thread::scope(|scope| {
        let busy: Vec<_> = (0..3 * threads - 1)
            .map(|_| {
                let call = scope.spawn(|| family.ask("/wait"));
                begun.recv_timeout(PATIENCE).unwrap();
                call
            })
            .collect();
        wait_for("both", || family.workers.iter().filter(|(worker, _)| worker.seat.blocked()).count() == 2);
        let free = family.workers.iter().position(|(worker, _)| !worker.seat.blocked()).unwrap();
        for _ in 0..50 {
            assert_eq!(family.ask("/"), free, "{threads} threads");
        }
        busy.iter().for_each(|_| go.send(()).unwrap());
        let mut busy: Vec<_> = busy.into_iter().map(|call| call.join().unwrap()).collect();
        busy.push(free);
        busy.sort_unstable();
        busy.dedup();
        assert_eq!(busy, [0, 1, 2]);
    });
}

#[test]
fn a_client_who_waits_while_all_are_busy_is_taken_by_the_first_that_is_free() {
    let mut family = Family::new();
    let (begin, begun) = mpsc::channel();
    let (go, gone): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel::<()>()).unzip();
    for gone in gone {
        let (begin, gone, number) = (begin.clone(), Mutex::new(gone), family.workers.len());
        let call = move |path: &str| {
            if path == "/wait" {
                begin.send(number).unwrap();
                gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
        };
        family.add(Drive::Seat, call, |_| {});
    }
    thread::scope(|scope| {
        let calls: Vec<_> = (0..2)
            .map(|_| {
                let call = scope.spawn(|| family.ask("/wait"));
                begun.recv_timeout(PATIENCE).unwrap();
                call
            })
            .collect();
        wait_for("both", || family.workers.iter().all(|(worker, _)| worker.seat.blocked()));
        let late = scope.spawn(|| family.ask("/"));
        thread::sleep(Duration::from_millis(50));
        assert_eq!(family.connections(), [1, 1]);
        go[1].send(()).unwrap();
        assert_eq!(late.join().unwrap(), 1);
        go[0].send(()).unwrap();
        calls.into_iter().for_each(|call| assert!(call.join().unwrap() < 2));
    });
}

/// Two workers with an app thread each, of which the first goes from one call to the next when it is told to.
struct Queue {
    family: Family,
    begun: mpsc::Receiver<usize>,
    go: Vec<mpsc::Sender<()>>,
    /// Who has clients of the first worker, two of them, and one of the second; all ask for calls that last.
    kept: [Client; 3],
}

impl Queue {
    /// Both workers are in a call, and one more waits for the first.
    fn new() -> Self {
        let mut family = Family::new();
        let (begin, begun) = mpsc::channel();
        let (go, gone): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel::<()>()).unzip();
        let mut kept = Vec::new();
        for gone in gone {
            let (begin, gone, number) = (begin.clone(), Mutex::new(gone), kept.len() / 2);
            let call = move |path: &str| match path {
                "/wait" => {
                    begin.send(number).unwrap();
                    gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                }
                "/slow" => thread::sleep(Duration::from_millis(5)),
                _ => {}
            };
            family.add(Drive::Seat, call, |_| {});
            // The second worker is alone at the door, because the first one is in a call.
            if number == 0 {
                kept.extend([family.keep().0, family.keep().0]);
                // Traffic is slow for the worker once the standby drives on though the app thread is free.
                let seat = &family.workers[0].0.seat;
                wait_for("slow traffic", || {
                    family.ask("/slow");
                    thread::sleep(Duration::from_millis(20));
                    seat.may_be_blocked() && !seat.blocked()
                });
                kept[0].send(WAIT);
                assert_eq!(begun.recv_timeout(PATIENCE), Ok(0));
                kept[1].send(WAIT);
                let queue = || family.board.snapshot(0).unwrap().in_flight.len();
                wait_for("the queue", || queue() == 2 && family.workers[0].0.seat.blocked());
            } else {
                let (mut client, by) = family.keep();
                client.send(WAIT);
                assert_eq!((by, begun.recv_timeout(PATIENCE)), (1, Ok(1)));
                kept.push(client);
            }
        }
        let kept = kept.try_into().unwrap_or_else(|_| panic!("three"));
        let open = |number: usize| family.workers[number].0.slot.siblings().next().is_some();
        wait_for("both to shut their doors", || !open(0) && !open(1));
        Self { family, begun, go, kept }
    }

    /// The first worker goes on with the call that waits.
    fn go_on(&mut self) {
        self.go[0].send(()).unwrap();
        self.kept[0].read_until("0");
        assert_eq!(self.begun.recv_timeout(PATIENCE), Ok(0));
    }

    fn end(mut self) {
        self.go.iter().for_each(|go| go.send(()).unwrap());
        for (client, end) in self.kept[1..].iter_mut().zip(["0", "1"]) {
            client.read_until(end);
        }
    }
}

const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn between_two_calls_a_worker_leaves_clients_to_a_sibling_that_is_free() {
    let mut queue = Queue::new();
    queue.go_on();
    // The sibling comes to its door after it.
    queue.go[1].send(()).unwrap();
    queue.kept[2].read_until("1");
    for _ in 0..50 {
        assert_eq!(queue.family.ask("/"), 1);
    }
    queue.kept[2].send(WAIT);
    assert_eq!(queue.begun.recv_timeout(PATIENCE), Ok(1));
    queue.end();
}

#[test]
fn between_two_calls_a_client_gets_in_if_no_sibling_is_free() {
    let mut queue = Queue::new();
    let mut late = queue.family.client();
    late.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(queue.family.connections(), [2, 1]);
    queue.go_on();
    wait_for("the client to get in", || queue.family.connections() == [3, 1]);
    queue.go[0].send(()).unwrap();
    assert_eq!(body(&late.read_until("0")), "0");
    queue.kept[0].send(WAIT);
    assert_eq!(queue.begun.recv_timeout(PATIENCE), Ok(0));
    queue.end();
}

#[test]
fn who_has_fewer_connections_gets_the_next_clients() {
    for drive in [Drive::Seat, Drive::Task, Drive::Hosted] {
        let mut family = Family::new();
        family.add(drive, |_| {}, |_| {});
        let mut kept: Vec<_> = (0..60).map(|_| family.keep()).collect();
        // On a busy machine the second one may have to wait for its processor; the first one waits for that.
        family.workers[0].0.doors.courtesy.set(PATIENCE).unwrap();
        family.add(drive, |_| {}, |_| {});
        // So many leave it with far fewer.
        kept.extend((0..30).map(|_| family.keep()));
        assert_eq!(family.connections(), [60, 30], "{drive:?}");
        drop(kept);
    }
}

#[test]
fn connections_that_stay_are_shared() {
    let mut family = Family::new();
    for drive in SEATS {
        family.add(drive, |_| {}, |_| {});
    }
    let next = |_| {
        family.wait_until_asleep();
        family.keep()
    };
    let kept: Vec<_> = (0..60).map(next).collect();
    let each = family.connections();
    assert!(each.iter().all(|count| (14..=26).contains(count)), "{each:?}");
    drop(kept);
}

#[test]
fn a_full_worker_closes_no_connection_while_a_sibling_has_room() {
    let mut family = Family::new();
    for _ in 0..2 {
        family.add(Drive::Seat, |_| {}, |settings| settings.worker_connections = 10);
    }
    let mut kept: Vec<_> = (0..20).map(|_| family.keep()).collect();
    assert_eq!(family.connections(), [10, 10]);
    for (client, by) in &mut kept {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(body(&client.read_to_end()), by.to_string());
    }
}

#[derive(Clone, Debug)]
struct Visit {
    pause: u16,
    lasts: u16,
    stays: bool,
}

fn visits() -> impl Strategy<Value = Vec<Visit>> {
    let visit =
        (0_u16..2000, prop_oneof![6 => Just(0_u16), 2 => 0_u16..900, 1 => 1500_u16..6000], any::<bool>());
    prop::collection::vec(visit.prop_map(|(pause, lasts, stays)| Visit { pause, lasts, stays }), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn no_client_is_forgotten(
        clients in prop::collection::vec(visits(), 1..10),
        places in 2_usize..6,
        threads in 1_usize..4,
        leaver in prop::option::of(0_u16..10_000),
    ) {
        let mut family = Family::new();
        for drive in SEATS {
            let call = |path: &str| thread::sleep(Duration::from_micros(path[1..].parse().unwrap()));
            family.add(drive, call, |settings| {
                settings.worker_connections = places;
                settings.threads = threads;
                settings.keepalive = Duration::from_secs(1);
            });
        }
        let served = AtomicUsize::new(0);
        thread::scope(|scope| {
            for visits in &clients {
                let (family, served) = (&family, &served);
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for Visit { pause, lasts, stays } in visits {
                        thread::sleep(Duration::from_micros((*pause).into()));
                        // A client that is forgotten gets no answer in time, and its read fails.
                        if *stays {
                            kept.push(family.keep());
                        }
                        family.ask(&format!("/{lasts}"));
                        served.fetch_add(1, SeqCst);
                    }
                });
            }
            if let Some(pause) = leaver {
                thread::sleep(Duration::from_micros(pause.into()));
                family.workers[0].0.lifecycle.drain();
            }
        });
        prop_assert_eq!(served.load(SeqCst), clients.iter().map(Vec::len).sum::<usize>());
    }
}
