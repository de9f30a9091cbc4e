//! ASGI message by message: an application in an event loop of its own, and a script that plays the server.

mod client;
mod contexts;
mod ends;
mod event_loop;
mod guest;
mod leaving;
mod lifespan;
mod log;
mod receive;
mod refusals;
mod scope;
mod send;
mod sending;
mod streams;
mod tasks;
mod unwanted;
mod waiting;
mod websocket;

use std::collections::VecDeque;
use std::ffi::CString;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use ferricorn_config::{AsgiLoop, AsgiSettings, Lifespan};
use ferricorn_protocol::{Answer, App, AppFault, BoxFuture, Request, Response};
use ferricorn_python::asgi::{AsgiApp, Calling};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

/// What every application here may use, beside `say`, which tells the script of a value.
const PRELUDE: &str = "
import asyncio

def start(status=200, headers=(), **more):
    return {'type': 'http.response.start', 'status': status, 'headers': headers, **more}

def body(data=b'', more=False):
    return {'type': 'http.response.body', 'body': data, 'more_body': more}

async def respond(send, data=b''):
    await send(start())
    await send(body(data))

def _settle(turns, then):
    asyncio.get_running_loop().call_soon(_settle, turns - 1, then) if turns else then()
";

/// An application, and the module that it lives in.
pub(super) struct Site {
    module: Py<PyModule>,
    app: AsgiApp,
    words: Arc<Words>,
}

/// What the application has said, and who waits for it.
#[derive(Default)]
struct Words {
    said: Mutex<VecDeque<String>>,
    script: Mutex<Option<Waker>>,
}

/// What is left when script and loop have ended.
pub(super) struct Ended {
    site: Rc<Site>,
    /// What the host gave back.
    pub(super) hosted: Result<(), AppFault>,
    /// What was logged, each with its level before it.
    pub(super) log: Vec<String>,
}

/// Polls the future once.
pub(super) async fn is_ready<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_ready())).await
}

/// Without a lifespan, without a root path, and a client that leaves ends its task at once.
pub(super) fn settings() -> AsgiSettings {
    AsgiSettings {
        event_loop: AsgiLoop::Asyncio,
        lifespan: Lifespan::Off,
        disconnect_grace: Duration::ZERO,
        root_path: String::new(),
    }
}

/// Runs the code, which defines `app`, and then the script, from the loop's beginning to its end.
pub(super) fn run<F: Future<Output = ()> + 'static>(code: &str, script: impl FnOnce(Rc<Site>) -> F) -> Ended {
    run_with((settings(), Calling::Single), code, script)
}

/// As [`run`], with these settings.
pub(super) fn run_with<F: Future<Output = ()> + 'static>(
    (settings, calling): (AsgiSettings, Calling),
    code: &str,
    script: impl FnOnce(Rc<Site>) -> F,
) -> Ended {
    Python::initialize();
    let site = Rc::new(Site::new(settings, calling, code));
    let guest = guest::Script::new(Box::pin(script(site.clone())), site.words.clone());
    let (hosted, log) = log::kept(|| site.app.host(guest.clone()));
    guest.check();
    Ended { site, hosted, log }
}

impl Site {
    fn new(settings: AsgiSettings, calling: Calling, code: &str) -> Self {
        let words = Arc::new(Words::default());
        Python::attach(|py| {
            let module = PyModule::new(py, "site").unwrap();
            let heard = words.clone();
            let say = PyCFunction::new_closure(py, None, None, move |arguments, _| -> PyResult<()> {
                heard.say(arguments.get_item(0)?.repr()?.to_string());
                Ok(())
            });
            module.setattr("say", say.unwrap()).unwrap();
            for code in [PRELUDE, code] {
                py.run(&CString::new(code).unwrap(), Some(&module.dict()), None).unwrap();
            }
            let app = AsgiApp::new(&module.getattr("app").unwrap(), calling, settings).unwrap();
            Self { module: module.unbind(), app, words }
        })
    }

    /// The `repr` of an expression in the module.
    pub(super) fn eval(&self, expression: &str) -> String {
        Python::attach(|py| {
            let expression = CString::new(expression).unwrap();
            let value = py.eval(&expression, Some(&self.module.bind(py).dict()), None).unwrap();
            value.repr().unwrap().to_string()
        })
    }

    /// Calls the application. What is dropped before its end is a client that leaves.
    pub(super) fn answer(&self, request: Request) -> BoxFuture<'static, Result<Response, AppFault>> {
        match self.app.call(Box::new(request)) {
            Answer::Later(answer) => Box::pin(async { answer.await.map(|response| *response) }),
            _ => panic!("an ASGI application answered at once"),
        }
    }

    /// The application's response.
    pub(super) async fn respond(&self, request: Request) -> Response {
        match self.answer(request).await {
            Ok(response) => response,
            Err(fault) => panic!("{fault}\n{}", fault.traceback.as_deref().unwrap_or_default()),
        }
    }

    /// What the application failed with.
    pub(super) async fn fail(&self, request: Request) -> AppFault {
        match self.answer(request).await {
            Ok(response) => panic!("the application did not fail: {}", response.head.status),
            Err(fault) => fault,
        }
    }

    /// The next value that the application says, as its `repr`; `leave 3` if it wants its process to end.
    pub(super) async fn heard(&self) -> String {
        poll_fn(|cx| match self.words.said.lock().unwrap().pop_front() {
            Some(word) => Poll::Ready(word),
            None => {
                *self.words.script.lock().unwrap() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// What the application has said and the script has not heard.
    pub(super) fn unheard(&self) -> Vec<String> {
        self.words.said.lock().unwrap().drain(..).collect()
    }

    /// Lets the application do what it can do without the script: some turns of the event loop.
    pub(super) async fn settle(&self) {
        let words = self.words.clone();
        Python::attach(|py| {
            let then = PyCFunction::new_closure(py, None, None, move |_, _| words.say("settled".to_owned()));
            let settle = self.module.bind(py).getattr("_settle").unwrap();
            settle.call1((8, then.unwrap())).unwrap();
        });
        poll_fn(|cx| {
            let mut said = self.words.said.lock().unwrap();
            if let Some(at) = said.iter().position(|word| word == "settled") {
                said.remove(at);
                return Poll::Ready(());
            }
            *self.words.script.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(super) async fn startup(&self) -> Result<(), AppFault> {
        self.app.startup().await
    }

    /// Waits for calls that go on after their responses.
    pub(super) fn calls_end(&self) -> BoxFuture<'_, ()> {
        self.app.settle()
    }

    pub(super) fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.app.shutdown()
    }
}

impl Words {
    fn say(&self, word: String) {
        self.said.lock().unwrap().push_back(word);
        let script = self.script.lock().unwrap().take();
        if let Some(waker) = script {
            waker.wake();
        }
    }
}

impl Ended {
    /// As [`Site::eval`], after all.
    pub(super) fn eval(&self, expression: &str) -> String {
        self.site.eval(expression)
    }

    /// What was said and never heard.
    pub(super) fn unheard(&self) -> Vec<String> {
        self.site.unheard()
    }

    /// What was logged at this level.
    pub(super) fn logged(&self, level: &str) -> Vec<&str> {
        self.log.iter().filter_map(|line| line.strip_prefix(level)?.strip_prefix(' ')).collect()
    }
}
