//! How a call ends that its client waits for: with an exception, before its time, or with the process.

use ferricorn_protocol::ResponseBody;

use super::client::{Download, whole};
use super::run;
use crate::support::get;

/// An application that sends this, and then does that.
fn ending(sent: &str, end: &str) -> String {
    format!(
        "
async def app(scope, receive, send):
    for message in [{sent}]:
        await send(message)
    {end}
"
    )
}

const INCOMPLETE: &str = "the ASGI application returned without completing its response";

#[test]
fn an_exception_before_the_response_is_the_answer() {
    for sent in ["", "start()"] {
        for wait in ["", "await asyncio.sleep(0); "] {
            let ended = run(&ending(sent, &format!("{wait}raise ValueError('boom')")), |site| async move {
                let fault = site.fail(get("/")).await;
                assert_eq!(fault.message, "ValueError: boom");
                let traceback = fault.traceback.unwrap();
                assert!(traceback.starts_with("Traceback") && traceback.contains("in app"), "{traceback}");
                assert_eq!((fault.exit, fault.told), (None, false));
            });
            // The connection tells of it.
            assert_eq!(ended.logged("ERROR"), [""; 0]);
            ended.hosted.unwrap();
        }
    }
}

#[test]
fn an_exception_in_the_middle_ends_the_stream() {
    let code = ending("start(), body(b'one', True)", "raise ValueError('boom')");
    let ended = run(&code, |site| async move {
        let mut download = Download::of(site.respond(get("/")).await);
        assert_eq!(download.piece().await, "one");
        assert_eq!(download.failure().await, "ValueError: boom");
    });
    assert_eq!(ended.logged("ERROR"), [""; 0]);
}

#[test]
fn an_exception_after_the_response_is_logged() {
    for sent in ["start(), body(b'all')", "start(), body(b'a', True), body(b'll')"] {
        for wait in ["", "await asyncio.sleep(0); "] {
            let ended = run(&ending(sent, &format!("{wait}raise ValueError('boom')")), |site| async move {
                let response = site.respond(get("/late?x")).await;
                let taken = match response.body {
                    ResponseBody::Stream(_) => Download::of(response).rest().await.0,
                    _ => whole(response).to_vec(),
                };
                assert_eq!(taken, b"all");
                site.settle().await;
            });
            let [told] = ended.logged("ERROR")[..] else { panic!("{:?}", ended.log) };
            assert!(told.starts_with("Error after the response to GET /late\nTraceback"), "{told}");
            assert!(told.ends_with("ValueError: boom"), "{told}");
        }
    }
}

#[test]
fn an_exception_that_a_framework_has_answered_is_one_of_the_request() {
    let code = ending("start(500), body(b'sorry')", "raise ValueError('boom')");
    let ended = run(&code, |site| async move {
        assert_eq!(whole(site.respond(get("/err")).await), "sorry");
    });
    let [told] = ended.logged("ERROR")[..] else { panic!("{:?}", ended.log) };
    assert!(told.starts_with("Error handling request GET /err\nTraceback"), "{told}");
}

#[test]
fn a_return_before_the_end_is_a_fault() {
    run(&ending("", "return"), |site| async move {
        let fault = site.fail(get("/")).await;
        assert_eq!(fault.message, "the ASGI application returned without starting a response");
    });
    run(&ending("start()", "return 1"), |site| async move {
        assert_eq!(site.fail(get("/")).await.message, INCOMPLETE);
    });
    for sent in ["start(), body(b'', True)", "start(trailers=True), body(b'')"] {
        run(&ending(sent, "return"), |site| async move {
            let mut download = Download::of(site.respond(get("/")).await);
            assert_eq!(download.failure().await, INCOMPLETE);
        });
    }
}

#[test]
fn system_exit_is_told_with_its_status_by_whoever_hears_of_it() {
    for (raised, status) in
        [("SystemExit(3)", 3), ("SystemExit", 0), ("SystemExit('why')", 1), ("KeyboardInterrupt", 130)]
    {
        for wait in ["", "await asyncio.sleep(0); "] {
            let end = format!("{wait}raise {raised}");
            let ended = run(&ending("", &end), move |site| async move {
                let fault = site.fail(get("/")).await;
                assert_eq!(fault.exit, Some(status), "{raised}");
            });
            ended.hosted.as_ref().unwrap();
            run(&ending("start(), body()", &end), move |site| async move {
                assert_eq!(whole(site.respond(get("/")).await), "");
                assert_eq!(site.heard().await, format!("leave {status}"), "{raised}");
            });
        }
    }
}

#[test]
fn asyncio_does_not_tell_of_a_system_exit_beside_the_server() {
    for wait in ["", "await asyncio.sleep(0)"] {
        let code = format!(
            "
async def app(scope, receive, send):
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: say(context['message']))
    {wait}
    raise SystemExit(3)
"
        );
        let ended = run(&code, |site| async move {
            assert_eq!(site.fail(get("/")).await.exit, Some(3));
        });
        let told = ended.unheard();
        assert!(!told.iter().any(|word| word.contains("never retrieved")), "{told:?}");
    }
}

#[test]
fn exceptions_that_are_no_errors_are_faults_all_the_same() {
    for (raised, message) in [
        ("asyncio.CancelledError", "CancelledError"),
        ("type('Odd', (BaseException,), {})('strange')", "Odd: strange"),
        ("StopIteration", "RuntimeError: coroutine raised StopIteration"),
    ] {
        for wait in ["", "await asyncio.sleep(0); "] {
            run(&ending("", &format!("{wait}raise {raised}")), move |site| async move {
                assert_eq!(site.fail(get("/")).await.message, message);
                assert_eq!(site.fail(get("/")).await.message, message);
            });
        }
    }
}
