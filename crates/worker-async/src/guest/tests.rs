//! Lone events: each must be noticed by itself, for no other comes that would have it noticed too.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use ferricorn_protocol::{Guest, Look, Pumped};
use ferricorn_unix::poll;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::Visitor;
use crate::job::Job;
use crate::seat;
use crate::tests::host::host;
use crate::timer::{sleep, turn};

/// How long a lone event may go unnoticed before it is lost. A machine that is busy may pause for long; a wake-up that
/// was lost never comes.
const PATIENCE: Duration = Duration::from_secs(20);

fn visitor() -> Rc<Visitor<Job>> {
    Rc::new(Visitor::new(|| {}, |_| {}).unwrap())
}

/// Random numbers that are the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What causes events, on a thread of its own.
struct Actor {
    /// Read by a task.
    socket: UnixStream,
    /// Read by a task that was spawned on the runtime itself.
    foreign: UnixStream,
    /// Read by the host, which wakes a task for it.
    own: UnixStream,
    /// A task waits for each.
    woken: Arc<Notify>,
    timed: Arc<Notify>,
    seen: Receiver<()>,
    shared: Arc<seat::Shared<Job>>,
}

impl Actor {
    /// Causes one event after the other, at random moments after the one before was noticed.
    fn act(&mut self, events: u64, foreign: bool) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for event in 0..events {
            let moment = Instant::now() + Duration::from_nanos(random.below(60_000));
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            let cause = random.below(if foreign { 5 } else { 4 });
            match cause {
                0 => self.socket.write_all(b"x").unwrap(),
                1 => self.own.write_all(b"x").unwrap(),
                2 => self.woken.notify_one(),
                // Begins a wait, whose end is another lone event.
                3 => self.timed.notify_one(),
                _ => self.foreign.write_all(b"x").unwrap(),
            }
            let noticed = self.seen.recv_timeout(PATIENCE);
            assert!(noticed.is_ok(), "event {event} was lost; its cause was {cause}");
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

async fn read_all(socket: UnixStream, seen: Sender<()>) {
    socket.set_nonblocking(true).unwrap();
    let mut socket = tokio::net::UnixStream::from_std(socket).unwrap();
    while let Ok(1..) = socket.read(&mut [0; 1]).await {
        seen.send(()).unwrap();
    }
}

/// Drives a guest and its host through so many lone events.
fn lone_events(events: u64, foreign: bool) {
    let visitor = visitor();
    let pair = || UnixStream::pair().unwrap();
    let ((socket, here), (foreign_socket, foreign_here), (own, mut own_here)) = (pair(), pair(), pair());
    let (woken, hosts, timed) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (saw, seen) = mpsc::channel();
    visitor.enter(|| {
        tokio::task::spawn_local(read_all(here, saw.clone()));
        if foreign {
            tokio::spawn(read_all(foreign_here, saw.clone()));
        }
        for notify in [woken.clone(), hosts.clone()] {
            let saw = saw.clone();
            tokio::task::spawn_local(async move {
                loop {
                    notify.notified().await;
                    // What yields must run again, too.
                    tokio::task::yield_now().await;
                    saw.send(()).unwrap();
                }
            });
        }
        let notify = timed.clone();
        tokio::task::spawn_local(async move {
            let mut random = Random(7);
            loop {
                notify.notified().await;
                match random.below(8) {
                    0 => turn().await,
                    microseconds => sleep(Duration::from_micros(microseconds * 20)).await,
                }
                saw.send(()).unwrap();
            }
        });
    });
    let shared = visitor.shared().clone();
    let mut actor = Actor { socket, foreign: foreign_socket, own, woken, timed, seen, shared };
    let acting = thread::spawn(move || actor.act(events, foreign));
    let guest: Rc<dyn Guest> = visitor;
    let watched = own_here.try_clone().unwrap();
    host(&guest, Some(watched.as_fd()), || {
        if own_here.read(&mut [0; 1]).unwrap() == 1 {
            hosts.notify_one();
        }
    });
    acting.join().unwrap();
}

#[test]
fn no_lone_event_is_lost() {
    lone_events(30_000, false);
}

#[test]
fn tasks_that_are_spawned_on_the_runtime_itself_are_woken_too() {
    lone_events(1_000, true);
}

#[test]
fn the_bell_rings_once_until_a_pump_and_not_inside_one() {
    let visitor = visitor();
    let notify = Arc::new(Notify::new());
    visitor.enter(|| {
        for _ in 0..3 {
            let notify = notify.clone();
            tokio::task::spawn_local(async move {
                loop {
                    notify.notified().await;
                }
            });
        }
    });
    let rings = Rc::new(RefCell::new(0));
    let counted = rings.clone();
    visitor.set_bell(Box::new(move || *counted.borrow_mut() += 1));
    assert_eq!(rings.take(), 1, "there are tasks that have not run");
    assert_eq!(visitor.pump(Look::Kernel), Pumped::Idle);
    assert_eq!(rings.take(), 0);
    notify.notify_waiters();
    notify.notify_waiters();
    assert_eq!(rings.take(), 1);
    let readable = poll::readable(&[visitor.descriptor()], Some(0)).unwrap();
    assert_eq!(readable, [false], "a wake-up on the host's thread went through the kernel");
    assert_eq!(visitor.pump(Look::Tasks), Pumped::Idle);
    notify.notify_waiters();
    assert_eq!(rings.take(), 1);
}

#[test]
fn a_pump_ends_though_tasks_go_on_and_the_host_is_told() {
    let visitor = visitor();
    visitor.enter(|| {
        tokio::task::spawn_local(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
    });
    assert_eq!(visitor.pump(Look::Kernel), Pumped::Busy);
    assert_eq!(visitor.pump(Look::Tasks), Pumped::Busy);
    visitor.shared().stop();
    assert_eq!(visitor.pump(Look::Tasks), Pumped::Over);
    assert_eq!(visitor.pump(Look::Kernel), Pumped::Over);
}

#[test]
fn a_pump_inside_a_pump_does_nothing() {
    let visitor = visitor();
    let (told, tell) = mpsc::channel();
    visitor.enter(|| {
        let inner = visitor.clone();
        tokio::task::spawn_local(async move {
            told.send(inner.pump(Look::Kernel)).unwrap();
        });
    });
    assert_eq!(visitor.pump(Look::Kernel), Pumped::Idle);
    assert_eq!(tell.try_recv(), Ok(Pumped::Idle));
    visitor.depart();
}
