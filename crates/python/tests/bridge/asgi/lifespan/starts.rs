//! The start: what it waits for, how it fails, and applications that know nothing of it.

use ferricorn_config::Lifespan::{Auto, Off, On};

use super::{COMPLETE, startup, with};
use crate::asgi::is_ready;
use crate::support::get;

#[test]
fn start_and_stop_are_told_and_waited_for() {
    for mode in [Auto, On] {
        let ended = with(mode, COMPLETE, |site| async move {
            site.startup().await.unwrap();
            assert_eq!(site.heard().await, "{'type': 'lifespan.startup'}");
            site.respond(get("/")).await;
            assert_eq!(site.heard().await, "True");
            site.settle().await;
            assert_eq!(site.unheard(), Vec::<String>::new());
            site.shutdown().await;
            assert_eq!(site.unheard(), ["{'type': 'lifespan.shutdown'}"]);
        });
        ended.hosted.unwrap();
        assert_eq!(ended.log, Vec::<String>::new());
    }
}

#[test]
fn the_server_waits_for_an_application_that_takes_its_time() {
    let slow = "
await receive()
await go.wait()
await tell(send, 'startup.complete')
go.clear()
await receive()
say('stops')
await go.wait()
say('stopped')
await tell(send, 'shutdown.complete')";
    with(On, slow, |site| async move {
        let mut starts = Box::pin(site.startup());
        assert!(!is_ready(&mut starts).await);
        site.settle().await;
        site.eval("go.set()");
        starts.await.unwrap();
        let mut stops = site.shutdown();
        assert!(!is_ready(&mut stops).await);
        assert_eq!(site.heard().await, "'stops'");
        site.eval("go.set()");
        stops.await;
        assert_eq!(site.unheard(), ["'stopped'"]);
    });
}

#[test]
fn a_start_up_that_failed_is_a_fault_with_the_applications_words() {
    for mode in [Auto, On] {
        let failed = "
await receive()
await tell(send, 'startup.failed', message='Traceback: no database')";
        let fault = startup(mode, failed).0.unwrap_err();
        assert_eq!(fault.message, "Traceback: no database");
        assert_eq!(fault.traceback, None);
        let failed = "
await receive()
await tell(send, 'startup.failed', message='Traceback\\n  in app\\nValueError: no database\\n')";
        let fault = startup(mode, failed).0.unwrap_err();
        assert_eq!(fault.message, "ValueError: no database");
        assert_eq!(fault.traceback.as_deref(), Some("Traceback\n  in app\nValueError: no database"));
        let silent = "
await receive()
await tell(send, 'startup.failed')";
        assert_eq!(startup(mode, silent).0.unwrap_err().message, "lifespan.startup.failed");
    }
}

#[test]
fn an_application_without_a_lifespan_starts_unless_it_must_have_one() {
    for lifespan in [
        "raise ValueError('only http')",
        "await receive(); raise ValueError('only http')",
        "await asyncio.sleep(0); raise ValueError('only http')",
    ] {
        let (result, ended) = startup(Auto, lifespan);
        result.unwrap();
        assert_eq!(
            ended.log,
            ["INFO The app appears not to support the lifespan protocol (ValueError: only http)"]
        );
        let fault = startup(On, lifespan).0.unwrap_err();
        assert_eq!(fault.message, "ValueError: only http");
        assert!(fault.traceback.unwrap().contains("in lifespan"));
    }
    let (result, ended) = startup(Auto, "return");
    result.unwrap();
    assert_eq!(ended.log, ["INFO The app appears not to support the lifespan protocol (it ended early)"]);
    let fault = startup(On, "return").0.unwrap_err();
    assert_eq!(
        fault.message,
        "its lifespan ended before lifespan.startup.complete, and --asgi-lifespan on insists on it"
    );
}

#[test]
fn without_the_protocol_the_application_hears_nothing_of_it() {
    with(Off, "say('called')", |site| async move {
        site.startup().await.unwrap();
        site.respond(get("/")).await;
        assert_eq!(site.heard().await, "False");
        site.shutdown().await;
        assert_eq!(site.unheard(), Vec::<String>::new());
    });
    with(Auto, "raise ValueError", |site| async move {
        site.startup().await.unwrap();
        site.respond(get("/")).await;
        assert_eq!(site.heard().await, "False");
        site.shutdown().await;
    });
}

#[test]
fn system_exit_at_the_start_ends_the_process_in_every_mode() {
    for mode in [Auto, On] {
        for lifespan in
            ["raise SystemExit(5)", "await receive(); await asyncio.sleep(0); raise SystemExit(5)"]
        {
            let fault = startup(mode, lifespan).0.unwrap_err();
            assert_eq!(fault.exit, Some(5));
        }
    }
}
