//! The lifespan: what the application is told at start and stop, and what comes of its answers.

mod protocol;
mod starts;
mod stops;

use ferricorn_config::Lifespan;
use ferricorn_protocol::AppFault;
use ferricorn_python::asgi::Calling;

use super::{Ended, Site, run_with, settings};

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
