//! The lifespan: what the application is told at start and stop, and what comes of its answers.

use ferricorn_config::Lifespan::{self, Auto, Off, On};
use ferricorn_protocol::AppFault;
use ferricorn_python::asgi::Calling;

use super::{Ended, Site, is_ready, run_with, settings};
use crate::support::get;

/// Runs the script with an application whose lifespan is this, and that answers requests as well.
fn with<F: Future<Output = ()> + 'static>(
    mode: Lifespan,
    lifespan: &str,
    script: impl FnOnce(std::rc::Rc<Site>) -> F,
) -> Ended {
    let code = format!(
        "
go = asyncio.Event()

async def tell(send, name, **more):
    await send({{'type': 'lifespan.' + name, **more}})

async def lifespan(scope, receive, send):
    {}

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        return await lifespan(scope, receive, send)
    say('state' in scope)
    await respond(send)
    if scope['path'] == '/long':
        await go.wait()
        say('call ends')
",
        lifespan.trim().replace('\n', "\n    ")
    );
    let mut settings = settings();
    settings.lifespan = mode;
    run_with((settings, Calling::Single), &code, script)
}

/// What comes of the start-up.
fn startup(mode: Lifespan, lifespan: &str) -> (Result<(), AppFault>, Ended) {
    let (give, take) = std::sync::mpsc::channel();
    let ended = with(mode, lifespan, |site| async move {
        give.send(site.startup().await).unwrap();
    });
    (take.recv().unwrap(), ended)
}

const COMPLETE: &str = "
say(await receive())
await tell(send, 'startup.complete')
say(await receive())
await tell(send, 'shutdown.complete')";

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
fn the_scope_has_the_specifications_keys() {
    with(On, &format!("say(scope){COMPLETE}"), |site| async move {
        site.startup().await.unwrap();
        let scope = "{'type': 'lifespan', 'asgi': {'version': '3.0', 'spec_version': '2.0'}, 'state': {}}";
        assert_eq!(site.heard().await, scope);
        site.shutdown().await;
    });
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

#[test]
fn messages_out_of_order_and_unknown_ones_are_refused_by_name() {
    let tries = "
async def attempt(message):
    try:
        await send({'type': message})
    except Exception as error:
        say(f'{type(error).__name__}: {error}')
await attempt('lifespan.startup.complete')
await receive()
await attempt('lifespan.shutdown.complete')
await attempt('lifespan.startup')
await attempt('http.response.start')
await tell(send, 'startup.complete')
await attempt('lifespan.startup.complete')
await attempt('lifespan.startup.failed')
await receive()
await tell(send, 'shutdown.complete')
await attempt('lifespan.shutdown.failed')";
    with(On, tries, |site| async move {
        site.startup().await.unwrap();
        site.shutdown().await;
        site.settle().await;
        let untimely = |name: &str| format!("'RuntimeError: lifespan.{name} was sent out of order'");
        let unknown =
            |name: &str| format!("'ValueError: \"{name}\" is not the type of a message of a lifespan'");
        let expected = [
            untimely("startup.complete"),
            untimely("shutdown.complete"),
            unknown("lifespan.startup"),
            unknown("http.response.start"),
            untimely("startup.complete"),
            untimely("startup.failed"),
            untimely("shutdown.failed"),
        ];
        assert_eq!(site.unheard(), expected);
    });
}

#[test]
fn a_lifespan_may_be_any_awaitable_and_one_of_asgi_2() {
    let awaitable = "
class app:
    def __init__(self, scope, receive, send):
        self.channel = scope, receive, send
    def __await__(self):
        return lifespan(*self.channel).__await__()
";
    let double = "
def app(scope):
    async def instance(receive, send):
        await lifespan(scope, receive, send)
    return instance
";
    for (calling, app) in [(Calling::Single, awaitable), (Calling::Double, double)] {
        let code = format!(
            "
async def lifespan(scope, receive, send):
    say(await receive())
    await send({{'type': 'lifespan.startup.complete'}})
    say(await receive())
    await send({{'type': 'lifespan.shutdown.complete'}})
{app}"
        );
        let mut settings = settings();
        settings.lifespan = On;
        run_with((settings, calling), &code, |site| async move {
            site.startup().await.unwrap();
            site.shutdown().await;
            assert_eq!(site.unheard(), ["{'type': 'lifespan.startup'}", "{'type': 'lifespan.shutdown'}"]);
        });
    }
}
