//! An ASGI application as the server calls it.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ferricorn_config::AsgiSettings;
use ferricorn_protocol::{
    Answer, App, AppFault, BoxFuture, Drive, ExitCode, Guest, Head, Request, TellStack, Watch,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::agenda::Agenda;
use super::call::{Call, Kinds};
use super::host;
use super::http;
use super::lifespan::Lifespan;
use super::scope::{Kind, Scopes};
use super::tasks::Ending;
use super::websocket;
use crate::hooks::{RequestHooks, Seen, of_requests};
use crate::hosted::Answering;

/// How an application is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calling {
    /// `await app(scope, receive, send)`: ASGI 3.
    Single,
    /// `await app(scope)(receive, send)`: ASGI 2.
    Double,
}

/// An ASGI application, loaded.
pub struct AsgiApp(Arc<Bridge>);

/// What the connections, the host and the lifespan share.
pub(super) struct Bridge {
    callable: Py<PyAny>,
    calling: Calling,
    scopes: Scopes,
    pub(super) settings: AsgiSettings,
    pub(super) agenda: Arc<Agenda>,
    pub(super) lifespan: Arc<Lifespan>,
    hooks: Option<Arc<RequestHooks>>,
}

impl AsgiApp {
    /// Wraps the callable.
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn new(callable: &Bound<'_, PyAny>, calling: Calling, settings: AsgiSettings) -> PyResult<Self> {
        let py = callable.py();
        let agenda = Arc::new(Agenda::default());
        Ok(Self(Arc::new(Bridge {
            callable: callable.clone().unbind(),
            calling,
            scopes: Scopes::new(py, &settings.root_path)?,
            lifespan: Lifespan::new(&agenda, settings.lifespan),
            settings,
            agenda,
            hooks: of_requests(py)?,
        })))
    }
}

impl Bridge {
    /// The scope of a request.
    pub(super) fn scope<'py>(
        &self,
        py: Python<'py>,
        kind: Kind,
        request: &Request,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.scopes.request(py, kind, request, self.lifespan.state())
    }

    /// A request that wants a response is about to be handled.
    ///
    /// # Errors
    /// What `pre_request` raised.
    #[inline]
    pub(super) fn begins(&self, py: Python<'_>, request: &Request) -> PyResult<()> {
        self.hooks.as_ref().map_or(Ok(()), |hooks| hooks.begin(py, request))
    }

    /// A request is over that `post_request` waits for. Gives the status with which the worker is to leave, if the hook
    /// asks for that.
    pub(super) fn over(&self, py: Python<'_>, over: &Over) -> Option<ExitCode> {
        self.hooks.as_ref()?.end(py, &over.seen, over.head.as_ref(), over.sent)
    }

    pub(super) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Calls the application, which gives something to await.
    #[inline]
    pub(super) fn call<'py>(
        &self,
        scope: &Bound<'py, PyDict>,
        receive: &Bound<'py, PyAny>,
        send: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let callable = self.callable.bind(scope.py());
        match self.calling {
            Calling::Single => callable.call1((scope, receive, send)),
            Calling::Double => callable.call1((scope,))?.call1((receive, send)),
        }
    }
}

impl App for AsgiApp {
    fn drive(&self) -> Drive {
        Drive::Hosted
    }

    /// Called by the connection, inside the server's loop: no Python runs here.
    fn call(&self, mut request: Box<Request>) -> Answer {
        let agenda = &self.0.agenda;
        let ending = Ending::new(
            self.0.settings.disconnect_grace,
            request.deadline.as_ref().map(|deadline| deadline.number()),
        );
        if request.websocket.is_some() {
            let exchange = websocket::Exchange::new(agenda, ending, &request);
            agenda.begin(Call { request, kind: Kinds::WebSocket(exchange.clone()) });
            return Answer::Later(Box::pin(Answering::new(exchange)));
        }
        let exchange = http::Exchange::new(agenda, ending, &mut request);
        agenda.begin(Call { request, kind: Kinds::Http(exchange.clone()) });
        Answer::Later(Box::pin(Answering::new(exchange)))
    }

    fn interrupt(&self, number: u64, tell: TellStack) {
        self.0.agenda.interrupt(number, tell);
    }

    fn watch(&self, request: &mut Request) -> Option<Box<dyn Watch>> {
        let hooks = self.0.hooks.as_ref().filter(|_| request.websocket.is_none())?;
        let over = Over { seen: hooks.watch(request)?, head: None, sent: 0 };
        Some(Box::new(Watched { agenda: self.0.agenda.clone(), over }))
    }

    fn host(&self, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
        host::run(&self.0, guest)
    }

    fn startup(&self) -> BoxFuture<'_, Result<(), AppFault>> {
        Box::pin(self.0.lifespan.started())
    }

    /// Tasks that go on after their responses may need what the lifespan ends.
    fn settle(&self) -> BoxFuture<'_, ()> {
        let agenda = &self.0.agenda;
        Box::pin(poll_fn(
            |cx| if agenda.running().is_quiet(cx.waker()) { Poll::Ready(()) } else { Poll::Pending },
        ))
    }

    fn cancel(&self) -> Vec<String> {
        self.0.agenda.cancel()
    }

    fn must_shut_down(&self) -> bool {
        self.0.lifespan.goes_on()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.lifespan.stopped())
    }
}

/// A request that is over, for `post_request`.
pub(super) struct Over {
    seen: Seen,
    head: Option<Head>,
    sent: u64,
}

/// A request whose end that hook waits for.
struct Watched {
    agenda: Arc<Agenda>,
    over: Over,
}

impl Watch for Watched {
    fn answered(&mut self, head: &Head) {
        self.over.head = Some(head.clone());
    }

    /// Inside the server's loop, where no Python runs.
    fn over(self: Box<Self>, sent: u64) -> Option<ExitCode> {
        let Self { agenda, over } = *self;
        agenda.tell_over(Over { sent, ..over });
        None
    }
}
