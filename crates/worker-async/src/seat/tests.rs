//! Properties of the seat over random schedules, with real threads and a real runtime.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Seat, Shared, Work};
use crate::slot::Slot;

/// What must never be seen.
#[derive(Default)]
struct Watch {
    driving: AtomicBool,
    calls: AtomicUsize,
    most_calls: AtomicUsize,
    runs: AtomicUsize,
    deliveries: AtomicUsize,
    foreign: AtomicUsize,
}

/// A call that takes its time and is answered once.
struct Call {
    lasts: Duration,
    sleeps: bool,
    watch: Arc<Watch>,
    reply: Arc<Slot<u32>>,
    number: u32,
}

impl Work for Call {
    type Done = (Arc<Slot<u32>>, u32, Arc<Watch>);
    type Around = ();

    fn surroundings(&self) {}

    fn around((): (), work: &mut dyn FnMut()) {
        work();
    }

    fn run(self) -> Self::Done {
        let calls = self.watch.calls.fetch_add(1, SeqCst) + 1;
        self.watch.most_calls.fetch_max(calls, SeqCst);
        self.watch.runs.fetch_add(1, SeqCst);
        if thread::current().name() != Some("app") {
            self.watch.foreign.fetch_add(1, SeqCst);
        }
        if self.sleeps {
            thread::sleep(self.lasts);
        } else {
            let end = Instant::now() + self.lasts;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
        self.watch.calls.fetch_sub(1, SeqCst);
        (self.reply, self.number, self.watch)
    }

    fn deliver((reply, number, watch): Self::Done) {
        watch.deliveries.fetch_add(1, SeqCst);
        assert_eq!(reply.put(number), Ok(()));
    }
}

/// A client that makes one call after the other and checks each answer.
async fn client(shared: Arc<Shared<Call>>, watch: Arc<Watch>, calls: Vec<(u16, bool)>) {
    for (number, (micros, sleeps)) in calls.into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let reply = Arc::new(Slot::new());
        let lasts = Duration::from_micros(micros.into());
        shared.submit(Call { lasts, sleeps, watch: watch.clone(), reply: reply.clone(), number });
        let answer = std::future::poll_fn(|cx| {
            // Two drivers would be in here at the same time, sooner or later.
            assert!(!watch.driving.swap(true, SeqCst), "two threads drive");
            let polled = reply.poll_take(cx);
            watch.driving.store(false, SeqCst);
            polled
        });
        assert_eq!(answer.await, number);
        if number % 3 == 0 {
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    }
}

/// Runs clients on `threads` app threads; `None` if they were not all answered in time.
fn run_clients(threads: usize, clients: Vec<Vec<(u16, bool)>>) -> Option<Arc<Watch>> {
    let watch = Arc::new(Watch::default());
    let seat = Arc::new(Seat::new(|| {}).unwrap());
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|calls| seat.runtime().spawn(client(seat.shared().clone(), watch.clone(), calls)))
        .collect();
    let (tell, told) = mpsc::channel();
    let shared = seat.shared().clone();
    seat.runtime().spawn(async move {
        let mut failed = false;
        for task in tasks {
            failed |= task.await.is_err();
        }
        tell.send(failed).unwrap();
        shared.stop();
    });
    let mut life = Vec::new();
    for number in 0..=threads {
        let seat = seat.clone();
        let builder = thread::Builder::new().name(if number == 0 { "standby" } else { "app" }.to_owned());
        let live = move || if number == 0 { seat.stand_by() } else { seat.serve() };
        life.push(builder.spawn(live).unwrap());
    }
    // A lost wake-up shows as silence.
    let failed = told.recv_timeout(Duration::from_secs(20)).ok()?;
    assert!(!failed, "a client saw something wrong");
    for thread in life {
        thread.join().unwrap();
    }
    Some(watch)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_call_is_answered_once_and_the_seat_has_one_driver(
        threads in 1_usize..5,
        clients in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![
                    8 => (0_u16..30, Just(false)),
                    2 => (100_u16..900, any::<bool>()),
                    1 => (1500_u16..5000, any::<bool>()),
                ],
                1..20,
            ),
            1..12,
        ),
    ) {
        let expected: usize = clients.iter().map(Vec::len).sum();
        let watch = run_clients(threads, clients);
        prop_assert!(watch.is_some(), "calls were not answered: a wake-up was lost");
        let watch = watch.unwrap();
        prop_assert_eq!(watch.runs.load(SeqCst), expected);
        prop_assert_eq!(watch.deliveries.load(SeqCst), expected);
        prop_assert!(watch.most_calls.load(SeqCst) <= threads, "more calls at once than app threads");
        prop_assert_eq!(watch.foreign.load(SeqCst), 0, "a call ran on a thread that is no app thread");
    }
}

/// While the one app thread is in a call, timers and other tasks go on.
#[test]
fn a_call_that_lasts_does_not_stop_the_loop() {
    let watch = Arc::new(Watch::default());
    let seat = Seat::new(|| {}).unwrap();
    let shared = seat.shared().clone();
    let reply = Arc::new(Slot::new());
    let call = Call {
        lasts: Duration::from_millis(400),
        sleeps: true,
        watch: watch.clone(),
        reply: reply.clone(),
        number: 7,
    };
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = turns.clone();
    seat.runtime().spawn(async move {
        shared.submit(call);
        let mut answer = std::pin::pin!(std::future::poll_fn(|cx| reply.poll_take(cx)));
        loop {
            tokio::select! {
                number = answer.as_mut() => { assert_eq!(number, 7); break; }
                () = tokio::time::sleep(Duration::from_millis(10)) => {
                    let blocked = usize::from(shared.blocked());
                    counted.fetch_add(blocked, SeqCst);
                }
            }
        }
        shared.stop();
    });
    thread::scope(|scope| {
        scope.spawn(|| seat.stand_by());
        thread::Builder::new().name("app".into()).spawn_scoped(scope, || seat.serve()).unwrap();
    });
    assert!(turns.load(SeqCst) >= 5, "the loop stood still: {turns:?} turns in 400 ms");
}
