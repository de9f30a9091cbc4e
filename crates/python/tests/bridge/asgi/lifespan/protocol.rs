//! The lifespan as a call: its scope, its messages, and what it may be made of.

use ferricorn_config::Lifespan::On;
use ferricorn_python::asgi::Calling;

use super::{COMPLETE, with};
use crate::asgi::{run_with, settings};

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
