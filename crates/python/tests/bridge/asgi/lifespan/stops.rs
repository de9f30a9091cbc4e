//! The stop: when it is told, and how it goes wrong.

use ferricorn_config::Lifespan::On;

use super::{COMPLETE, with};
use crate::asgi::is_ready;
use crate::support::get;

#[test]
fn calls_that_go_on_after_their_responses_are_waited_for_before_the_stop() {
    with(On, COMPLETE, |site| async move {
        site.startup().await.unwrap();
        site.respond(get("/long")).await;
        site.respond(get("/long")).await;
        let mut calls_end = site.calls_end();
        assert!(!is_ready(&mut calls_end).await);
        site.settle().await;
        assert_eq!(site.unheard(), ["{'type': 'lifespan.startup'}", "True", "True"]);
        site.eval("go.set()");
        calls_end.await;
        assert_eq!(site.unheard(), ["'call ends'", "'call ends'"]);
        site.calls_end().await;
        site.shutdown().await;
        assert_eq!(site.unheard(), ["{'type': 'lifespan.shutdown'}"]);
    });
}

#[test]
fn a_stop_that_cannot_wait_is_told_though_calls_go_on() {
    with(On, COMPLETE, |site| async move {
        site.startup().await.unwrap();
        site.respond(get("/long")).await;
        site.shutdown().await;
        assert_eq!(site.unheard(), ["{'type': 'lifespan.startup'}", "True", "{'type': 'lifespan.shutdown'}"]);
    });
}

#[test]
fn a_stop_that_failed_is_logged() {
    let begins = "
await receive()
await tell(send, 'startup.complete')
await receive()";
    for (stops, told) in [
        ("await tell(send, 'shutdown.failed', message='stuck')", "The app failed to shut down: stuck"),
        ("await tell(send, 'shutdown.failed')", "The app failed to shut down: "),
        ("raise ValueError('stuck')", "The lifespan of the app failed while it shut down\nTraceback"),
    ] {
        let ended = with(On, &format!("{begins}\n{stops}"), |site| async move {
            site.startup().await.unwrap();
            site.shutdown().await;
            site.settle().await;
        });
        let [logged] = ended.logged("ERROR")[..] else { panic!("{:?}", ended.log) };
        assert!(logged.starts_with(told), "{logged}");
    }
    let ended = with(On, &format!("{begins}\nreturn"), |site| async move {
        site.startup().await.unwrap();
        site.shutdown().await;
    });
    assert_eq!(ended.log, Vec::<String>::new());
}

#[test]
fn a_lifespan_that_ends_before_its_time_does_not_end_the_server() {
    let begins = "
await receive()
await tell(send, 'startup.complete')";
    for (ends, logged) in [("return", 0), ("raise ValueError('broken')", 1)] {
        let ended = with(On, &format!("{begins}\n{ends}"), |site| async move {
            site.startup().await.unwrap();
            site.settle().await;
            site.respond(get("/")).await;
            assert_eq!(site.heard().await, "True");
            site.shutdown().await;
        });
        let errors = ended.logged("ERROR");
        assert_eq!(errors.len(), logged, "{errors:?}");
        assert!(
            errors
                .iter()
                .all(|told| told.starts_with("The lifespan of the app failed before the server ended"))
        );
    }
}
