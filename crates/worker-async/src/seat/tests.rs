//! Properties of the seat over random schedules, with real threads and a real runtime.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ferricorn_protocol::{AppFault, AppThread};
use proptest::prelude::*;

use super::{Life, Seat, Shared, Work};
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
    /// Threads that were started.
    hired: AtomicUsize,
    /// How many of the first calls for a thread are made to fail.
    refusals: AtomicUsize,
}

/// A call that takes its time and is answered once, with the number of its app thread.
struct Call {
    lasts: Duration,
    sleeps: bool,
    /// The app thread that must run it.
    home: Option<usize>,
    watch: Arc<Watch>,
    reply: Arc<Slot<(u32, usize)>>,
    number: u32,
}

impl Work for Call {
    type Done = (Arc<Slot<(u32, usize)>>, (u32, usize), Arc<Watch>);
    type Around = ();

    fn surroundings(&self) {}

    fn around((): (), work: &mut dyn FnMut()) {
        work();
    }

    fn home(&self) -> Option<usize> {
        self.home
    }

    fn run(self) -> Self::Done {
        let calls = self.watch.calls.fetch_add(1, SeqCst) + 1;
        self.watch.most_calls.fetch_max(calls, SeqCst);
        self.watch.runs.fetch_add(1, SeqCst);
        let here = AppThread::current().0;
        if thread::current().name() != Some("app") || self.home.is_some_and(|home| home != here) {
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
        (self.reply, (self.number, here), self.watch)
    }

    fn deliver((reply, answer, watch): Self::Done) {
        watch.deliveries.fetch_add(1, SeqCst);
        assert_eq!(reply.put(answer), Ok(()));
    }
}

/// One call of a client.
#[derive(Clone, Copy, Debug)]
struct Plan {
    micros: u16,
    sleeps: bool,
    /// Whether it belongs to the call before.
    belongs: bool,
}

/// A client that makes one call after the other and checks each answer.
async fn client(shared: Arc<Shared<Call>>, watch: Arc<Watch>, plans: Vec<Plan>) {
    let mut before = None;
    for (number, plan) in plans.into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let reply = Arc::new(Slot::new());
        shared.submit(Call {
            lasts: Duration::from_micros(plan.micros.into()),
            sleeps: plan.sleeps,
            home: before.filter(|_| plan.belongs),
            watch: watch.clone(),
            reply: reply.clone(),
            number,
        });
        let answer = std::future::poll_fn(|cx| {
            // Two drivers would be in here at the same time, sooner or later.
            assert!(!watch.driving.swap(true, SeqCst), "two threads drive");
            let polled = reply.poll_take(cx);
            watch.driving.store(false, SeqCst);
            polled
        });
        let (answered, home) = answer.await;
        assert_eq!(answered, number);
        if number % 4 == 0 {
            shared.tie(home);
            tokio::time::sleep(Duration::from_micros(300)).await;
            shared.untie(home);
        }
        before = Some(home);
    }
}

/// Drives a seat until it is stopped, with threads as a worker has them; gives it back when all of them have ended.
fn live(seat: &Arc<Seat<Call>>, watch: &Arc<Watch>) {
    let watch = watch.clone();
    let begin = move |_, life: Life| {
        if watch.refusals.load(SeqCst) > 0 {
            watch.refusals.fetch_sub(1, SeqCst);
            return Err(AppFault::new("no more threads"));
        }
        watch.hired.fetch_add(1, SeqCst);
        thread::Builder::new().name("app".to_owned()).spawn(life).unwrap();
        Ok(())
    };
    seat.hire_with(begin, |_| {});
    thread::scope(|scope| {
        scope.spawn(|| seat.stand_by());
        let main = || {
            seat.serve(0);
            seat.join();
        };
        thread::Builder::new().name("app".to_owned()).spawn_scoped(scope, main).unwrap();
    });
    assert_eq!(Arc::strong_count(seat), 1, "a thread still holds the seat");
}

/// Runs clients on at most so many app threads; `None` if they were not all answered in time.
fn run_clients(threads: usize, refusals: usize, clients: Vec<Vec<Plan>>) -> Option<Arc<Watch>> {
    let watch = Arc::new(Watch { refusals: AtomicUsize::new(refusals), ..Watch::default() });
    let seat = Arc::new(Seat::new(threads, || {}).unwrap());
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|plans| seat.runtime().spawn(client(seat.shared().clone(), watch.clone(), plans)))
        .collect();
    let (tell, told) = mpsc::channel();
    let shared = seat.shared().clone();
    let ended = tell.clone();
    seat.runtime().spawn(async move {
        let mut failed = false;
        for task in tasks {
            failed |= task.await.is_err();
        }
        tell.send(failed).unwrap();
        shared.stop();
    });
    let lives = watch.clone();
    let life = thread::spawn(move || {
        live(&seat, &lives);
        ended.send(false).unwrap();
    });
    // A lost wake-up shows as silence.
    let failed = told.recv_timeout(Duration::from_secs(20)).ok()?;
    assert!(!failed, "a client saw something wrong");
    told.recv_timeout(Duration::from_secs(20)).ok()?;
    life.join().unwrap();
    Some(watch)
}

/// What a client does while traffic is fast, mixed, or slow.
fn phase() -> impl Strategy<Value = Vec<Plan>> {
    let plan = |micros, sleeps| move |belongs| Plan { micros, sleeps, belongs };
    let fast = (0_u16..30, any::<bool>()).prop_map(move |(micros, belongs)| plan(micros, false)(belongs));
    let brisk = (100_u16..900, any::<bool>(), any::<bool>())
        .prop_map(move |(micros, sleeps, belongs)| plan(micros, sleeps)(belongs));
    let slow = (1500_u16..5000, prop::bool::weighted(0.8), prop::bool::weighted(0.2))
        .prop_map(move |(micros, sleeps, belongs)| plan(micros, sleeps)(belongs));
    let mixed = prop_oneof![8 => fast.clone(), 2 => brisk, 1 => slow.clone()];
    prop_oneof![
        2 => prop::collection::vec(fast, 1..40),
        2 => prop::collection::vec(mixed, 1..20),
        1 => prop::collection::vec(slow, 1..6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_call_is_answered_once_and_the_seat_has_one_driver(
        threads in 1_usize..6,
        refusals in prop_oneof![4 => Just(0_usize), 1 => Just(1_usize)],
        clients in prop::collection::vec(
            prop::collection::vec(phase(), 1..4).prop_map(|phases| phases.concat()),
            1..12,
        ),
    ) {
        let expected: usize = clients.iter().map(Vec::len).sum();
        let watch = run_clients(threads, refusals, clients);
        prop_assert!(watch.is_some(), "calls were not answered: a wake-up was lost");
        let watch = watch.unwrap();
        prop_assert_eq!(watch.runs.load(SeqCst), expected);
        prop_assert_eq!(watch.deliveries.load(SeqCst), expected);
        prop_assert!(watch.most_calls.load(SeqCst) <= threads, "more calls at once than app threads");
        prop_assert!(watch.hired.load(SeqCst) < threads, "more threads than were asked for");
        prop_assert_eq!(watch.foreign.load(SeqCst), 0, "a call ran on a thread that it does not belong to");
    }
}

/// While the one app thread is in a call, timers and other tasks go on.
#[test]
fn a_call_that_lasts_does_not_stop_the_loop() {
    let watch = Arc::new(Watch::default());
    let seat = Arc::new(Seat::new(1, || {}).unwrap());
    let shared = seat.shared().clone();
    let reply = Arc::new(Slot::new());
    let call = Call {
        lasts: Duration::from_secs(1),
        sleeps: true,
        home: None,
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
                (number, _) = answer.as_mut() => { assert_eq!(number, 7); break; }
                () = tokio::time::sleep(Duration::from_millis(10)) => {
                    let blocked = usize::from(shared.blocked());
                    counted.fetch_add(blocked, SeqCst);
                }
            }
        }
        shared.stop();
    });
    live(&seat, &watch);
    assert!(turns.load(SeqCst) >= 5, "the loop stood still: {turns:?} turns in a second");
}
