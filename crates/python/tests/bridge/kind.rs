//! WSGI applications and ASGI ones of both versions are told from each other, and from what is neither.

use std::ffi::CString;

use ferricorn_config::Interface;
use ferricorn_protocol::ExitCode;
use ferricorn_python::Kind;
use ferricorn_python::asgi::Calling;
use pyo3::prelude::*;

const APPS: &str = "
import functools, inspect, sys

def wsgi(environ, start_response): pass
async def asgi(scope, receive, send): pass

class Wsgi:
    def __call__(self, environ, start_response): pass
class WsgiResponse:
    def __init__(self, environ, start_response): pass
    def __iter__(self): return iter(())
class Asgi:
    def __init__(self, name='', debug=False, path=None): pass
    async def __call__(self, scope, receive, send): pass
class Slotted(Asgi):
    __slots__ = ()
class Endpoint:
    def __init__(self, scope, receive, send): pass
    def __await__(self): pass
class Consumer:
    def __init__(self, scope): pass
    async def __call__(self, receive, send): pass
class Legacy:
    def __call__(self, scope): return asgi
class Both:
    def __call__(self, *args): return wsgi(*args) if len(args) == 2 else asgi(*args)

def legacy(scope):
    async def instance(receive, send): pass
    return instance

def passes_on(function):
    @functools.wraps(function)
    def inner(*args): return function(*args)
    return inner

# As werkzeug's `Request.application`: it says that it is the function of one argument.
@functools.wraps(lambda request: None)
def adapted(*args): pass

class Decorated:
    @passes_on
    async def __call__(self, scope, receive, send): pass

class Marked:
    def __call__(self, *args): pass
single, double = Marked(), Marked()
single._asgi_single_callable = True
double._asgi_double_callable = True

def hidden(scope, receive, send): return asgi(scope, receive, send)
def marked(*args): return asgi(*args)
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(marked)
else:
    import asyncio
    marked._is_coroutine = asyncio.coroutines._is_coroutine

def create_app(): return wsgi
def create_with_defaults(config=None): return wsgi
def create_for(config): return wsgi
async def create_async(): return asgi
class Runner:
    def __call__(self): pass
";

fn kind(app: &str, interface: Interface) -> Result<Kind, String> {
    Python::initialize();
    Python::attach(|py| {
        let code = CString::new(APPS).unwrap();
        let module = PyModule::from_code(py, &code, c"apps.py", c"apps").unwrap();
        let app_of = CString::new(app).unwrap();
        let object = py.eval(&app_of, Some(&module.dict()), None).unwrap();
        Kind::of(&object, &format!("M:{app}"), interface).map_err(|error| {
            assert_eq!(error.exit, ExitCode::APP_LOAD_ERROR);
            error.message
        })
    })
}

const SINGLE: Kind = Kind::Asgi(Calling::Single);
const DOUBLE: Kind = Kind::Asgi(Calling::Double);

#[test]
fn what_an_application_is_shows_without_a_call() {
    for (app, wanted) in [
        ("wsgi", Kind::Wsgi),
        ("Wsgi()", Kind::Wsgi),
        ("Wsgi().__call__", Kind::Wsgi),
        ("WsgiResponse", Kind::Wsgi),
        ("functools.partial(wsgi)", Kind::Wsgi),
        ("passes_on(wsgi)", Kind::Wsgi),
        ("adapted", Kind::Wsgi),
        ("lambda environ, start_response: []", Kind::Wsgi),
        ("lambda *args: []", Kind::Wsgi),
        ("asgi", SINGLE),
        ("Asgi()", SINGLE),
        ("Asgi().__call__", SINGLE),
        ("Slotted()", SINGLE),
        ("Endpoint", SINGLE),
        ("functools.partial(asgi)", SINGLE),
        ("functools.partial(Asgi())", SINGLE),
        ("functools.partial(lambda x, scope, receive, send: asgi, 1)", SINGLE),
        ("hidden", SINGLE),
        ("marked", SINGLE),
        ("passes_on(asgi)", SINGLE),
        ("Decorated()", SINGLE),
        ("single", SINGLE),
        ("legacy", DOUBLE),
        ("Legacy()", DOUBLE),
        ("Consumer", DOUBLE),
        ("double", DOUBLE),
    ] {
        assert_eq!(kind(app, Interface::Auto), Ok(wanted), "{app}");
        let (fits, other) = match wanted {
            Kind::Wsgi => (Interface::Wsgi, Interface::Asgi),
            Kind::Asgi(_) => (Interface::Asgi, Interface::Wsgi),
        };
        assert_eq!(kind(app, fits), Ok(wanted), "{app}");
        // What takes anything is taken at the operator's word.
        if !app.contains('*')
            && !["adapted", "passes_on(wsgi)", "passes_on(asgi)", "Decorated()"].contains(&app)
        {
            let message = kind(app, other).unwrap_err();
            assert!(message.contains("remove --interface"), "{app}: {message}");
        }
    }
}

#[test]
fn an_application_with_both_interfaces_is_what_it_is_told_to_be() {
    assert_eq!(kind("Both()", Interface::Auto), Ok(Kind::Wsgi));
    assert_eq!(kind("Both()", Interface::Wsgi), Ok(Kind::Wsgi));
    assert_eq!(kind("Both()", Interface::Asgi), Ok(SINGLE));
}

#[test]
fn what_cannot_be_called_with_a_request_is_refused_and_a_factory_is_guessed() {
    for (app, hint) in [
        ("create_app", "; if it makes the application, write 'M:create_app()'."),
        ("create_with_defaults", "; if it makes the application, write 'M:create_with_defaults()'."),
        ("create_for", "; if it makes the application, write 'M:create_for(...)' with what it needs."),
        ("create_async", "; if it makes the application, write 'M:create_async()'."),
        ("Asgi", "; if it makes the application, write 'M:Asgi()'."),
        ("Wsgi", "; if it makes the application, write 'M:Wsgi()'."),
        ("Runner()", "with (scope, receive, send)."),
    ] {
        let message = kind(app, Interface::Auto).expect_err(app);
        assert!(message.contains("neither as a WSGI application"), "{message}");
        assert!(message.ends_with(hint), "{message}");
    }
    let message = kind("create_app", Interface::Asgi).unwrap_err();
    assert!(message.contains("cannot be called as an ASGI application"), "{message}");
}
