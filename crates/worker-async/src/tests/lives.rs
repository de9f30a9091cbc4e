//! A worker's life, whoever turns its loop: a start that fails or lasts, an end that lasts, a host that gives up.

use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ferricorn_config::Settings;
use ferricorn_protocol::{Answer, App, AppFault, BoxFuture, Drive, ExitCode, Guest, Request};
use ferricorn_unix::control::Report;
use ferricorn_unix::listener::Options;
use ferricorn_unix::scoreboard::Scoreboard;
use ferricorn_unix::{Address, Listener};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::app::full;
use super::host::host;
use super::log::Log;
use super::{Client, PATIENCE, body, settings};
use crate::life;
use crate::lifecycle::Lifecycle;
use crate::run::{assemble, see_through};
use crate::worker::Worker;

type Start = BoxFuture<'static, Result<(), AppFault>>;
type End = BoxFuture<'static, ()>;

/// An app whose start and end are futures, each to be had once.
struct Mortal {
    drive: Drive,
    start: Mutex<Option<Start>>,
    end: Mutex<Option<End>>,
    /// What becomes of its loop, in place of an end at its time.
    gives_up: Mutex<Option<Result<(), AppFault>>>,
}

impl Mortal {
    fn new(drive: Drive) -> Self {
        Self {
            drive,
            start: Mutex::new(Some(Box::pin(std::future::ready(Ok(()))))),
            end: Mutex::new(Some(Box::pin(std::future::ready(())))),
            gives_up: Mutex::new(None),
        }
    }

    fn starts(self, start: impl Future<Output = Result<(), AppFault>> + Send + 'static) -> Self {
        Self { start: Mutex::new(Some(Box::pin(start))), ..self }
    }

    fn ends(self, end: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { end: Mutex::new(Some(Box::pin(end))), ..self }
    }

    fn gives_up(self, result: Result<(), AppFault>) -> Self {
        Self { gives_up: Mutex::new(Some(result)), ..self }
    }
}

impl App for Mortal {
    fn drive(&self) -> Drive {
        self.drive
    }

    fn call(&self, request: Box<Request>) -> Answer {
        match request.head.uri.path() {
            "/ever" => Answer::Later(Box::pin(std::future::pending())),
            path => full(path.to_owned()),
        }
    }

    fn host(&self, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
        match self.gives_up.lock().unwrap().take() {
            Some(result) => result,
            None => {
                host(&guest, None, || {});
                Ok(())
            }
        }
    }

    fn startup(&self) -> BoxFuture<'_, Result<(), AppFault>> {
        self.start.lock().unwrap().take().unwrap()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.end.lock().unwrap().take().unwrap()
    }
}

/// A worker that lives on a thread of its own.
struct Life {
    address: SocketAddr,
    worker: Arc<Worker>,
    reports: Receiver<Report>,
    thread: JoinHandle<ExitCode>,
}

impl Life {
    fn of(app: Mortal, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
        let listener =
            Listener::bind(&address, Options { backlog: 64, umask: 0, reuse_port: false }).unwrap();
        let ferricorn_unix::Local::Tcp(address) = *listener.local() else { panic!("not TCP") };
        let slot = Scoreboard::create().unwrap().slot(0).unwrap();
        let (made, worker) = mpsc::channel();
        let (tell, reports) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (driver, worker) = assemble(settings, Arc::new(app), slot, None).unwrap();
            let life =
                life::live(worker.clone(), vec![listener], || {}, move |report| tell.send(report).unwrap());
            driver.enter(|| worker.spawner.spawn(life));
            made.send(worker.clone()).unwrap();
            see_through(&driver, &worker)
        });
        Self { address, worker: worker.recv().unwrap(), reports, thread }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new() }
    }

    fn wait_ready(&self) {
        assert_eq!(self.reports.recv_timeout(PATIENCE), Ok(Report::Ready));
    }

    /// The exit code, and whether it was ever ready after this was called.
    fn end(self) -> (ExitCode, bool) {
        let code = self.thread.join().unwrap();
        (code, self.reports.try_iter().any(|report| report == Report::Ready))
    }
}

const DRIVES: [Drive; 2] = [Drive::Task, Drive::Hosted];

#[test]
fn a_start_that_fails_is_a_failed_boot() {
    for drive in DRIVES {
        let app = Mortal::new(drive).starts(async { Err(AppFault::new("no database")) });
        assert_eq!(Life::of(app, |_| {}).end(), (ExitCode::BOOT_ERROR, false));
        let app = Mortal::new(drive).starts(async { panic!("a test") });
        assert_eq!(Life::of(app, |_| {}).end(), (ExitCode::BOOT_ERROR, false));
    }
}

#[test]
fn clients_are_accepted_once_the_app_has_started() {
    for drive in DRIVES {
        let (go, gone) = oneshot::channel();
        let life = Life::of(Mortal::new(drive).starts(async { gone.await.unwrap() }), |_| {});
        let mut client = life.client();
        client.send(b"GET /first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(life.worker.connections.count(), 0);
        assert!(life.reports.try_recv().is_err());
        go.send(Ok(())).unwrap();
        assert_eq!(body(&client.read_to_end()), "/first");
        life.wait_ready();
        life.worker.lifecycle.drain();
        assert_eq!(life.end(), (ExitCode::OK, false));
    }
}

#[test]
fn it_is_told_once_that_an_app_with_a_lifespan_takes_its_time_to_start() {
    for (drive, told) in
        [(Drive::Hosted, &["INFO Waiting for the app to start (lifespan.startup)"][..]), (Drive::Task, &[])]
    {
        let (go, gone) = oneshot::channel();
        let app = Mortal::new(drive).starts(async { gone.await.unwrap() });
        let slot = Scoreboard::create().unwrap().slot(0).unwrap();
        let (driver, worker) = assemble(settings(), Arc::new(app), slot, None).unwrap();
        // The loop here has a clock that leaps ahead when there is nothing else to do.
        drop(driver);
        let leaping =
            runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (tell, reports) = mpsc::channel();
        let log = Log::default();
        log.of(|| {
            leaping.block_on(async {
                let mut life =
                    pin!(life::live(worker, Vec::new(), || {}, |report| tell.send(report).unwrap()));
                for (seconds, lines) in [(4, &[][..]), (2, told), (3600, told)] {
                    assert!(timeout(Duration::from_secs(seconds), life.as_mut()).await.is_err());
                    assert_eq!(log.lines(), lines);
                }
                assert!(reports.try_recv().is_err());
                go.send(Ok(())).unwrap();
                assert!(timeout(Duration::from_secs(3600), life).await.is_err());
                assert_eq!(reports.try_recv(), Ok(Report::Ready));
                assert_eq!(log.lines(), told);
            });
        });
    }
}

#[test]
fn a_start_that_lasts_does_not_hold_up_the_end() {
    for drive in DRIVES {
        for leave in [Lifecycle::drain, |lifecycle: &Lifecycle| assert!(lifecycle.quit())] {
            let life = Life::of(Mortal::new(drive).starts(std::future::pending()), |_| {});
            leave(&life.worker.lifecycle);
            assert_eq!(life.end(), (ExitCode::OK, false));
        }
    }
}

#[test]
fn the_app_ends_after_its_last_request_and_not_for_ever() {
    for drive in DRIVES {
        let (tell, ended) = mpsc::channel();
        let app = Mortal::new(drive).ends(async move {
            tell.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        let life = Life::of(app, |settings| settings.graceful_timeout = Duration::from_secs(1));
        life.wait_ready();
        let mut client = life.client();
        client.send(b"GET /ever HTTP/1.1\r\nHost: a\r\n\r\n");
        super::wait_for("the request", || life.worker.slot.is_busy());
        life.worker.lifecycle.drain();
        assert!(ended.recv_timeout(Duration::from_millis(300)).is_err(), "a request is in flight");
        assert_eq!(client.read_to_end(), "");
        ended.recv_timeout(PATIENCE).unwrap();
        assert_eq!(life.end(), (ExitCode::OK, false));
    }
}

#[test]
fn a_quick_end_waits_for_no_request() {
    for drive in DRIVES {
        let (tell, ended) = mpsc::channel();
        let app = Mortal::new(drive).ends(async move { tell.send(()).unwrap() });
        let life = Life::of(app, |settings| settings.graceful_timeout = Duration::from_secs(3600));
        life.wait_ready();
        let mut client = life.client();
        client.send(b"GET /ever HTTP/1.1\r\nHost: a\r\n\r\n");
        super::wait_for("the request", || life.worker.slot.is_busy());
        assert!(life.worker.lifecycle.quit());
        assert_eq!(client.read_to_end(), "");
        ended.recv_timeout(PATIENCE).unwrap();
        assert_eq!(life.end(), (ExitCode::OK, false));
    }
}

#[test]
fn a_host_that_gives_up_ends_its_worker() {
    let fault = || AppFault::new("no loop");
    for result in [Ok(()), Err(fault())] {
        let life = Life::of(Mortal::new(Drive::Hosted).gives_up(result), |_| {});
        assert_eq!(life.end(), (ExitCode::BOOT_ERROR, false));
    }
    let fault = AppFault { exit: Some(7), ..fault() };
    let life = Life::of(Mortal::new(Drive::Hosted).gives_up(Err(fault)), |_| {});
    assert_eq!(life.end(), (ExitCode(7), false));
}
