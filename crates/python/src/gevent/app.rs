//! A WSGI application as the server calls it, on greenlets.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ferricorn_protocol::{
    Answer, App, AppFault, BoxFuture, Drive, ExitCode, Guest, Head, Request, TellStack, Watch, WorkerInfo,
};
use pyo3::prelude::*;

use super::agenda::Agenda;
use super::call::{Call, Work, has_body};
use super::exchange::Exchange;
use super::host;
use crate::hosted::Answering;
use crate::wsgi::{EnvironFactory, Facts, WsgiApp};

/// See the module's first line.
pub(crate) struct GreenletApp(Arc<Bridge>);

/// What the connections and the host share.
pub(super) struct Bridge {
    pub(super) wsgi: WsgiApp,
    pub(super) agenda: Arc<Agenda>,
}

impl GreenletApp {
    /// Wraps the callable, as [`WsgiApp::new`] does. At most `greenlets` calls run at the same time.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn new(
        callable: Bound<'_, PyAny>,
        worker: &WorkerInfo,
        script_name: &str,
        environs: EnvironFactory,
        greenlets: usize,
    ) -> PyResult<Self> {
        let facts = Facts {
            multithread: true,
            multiprocess: worker.multiprocess,
            script_name: script_name.to_owned(),
            shows_socket: true,
            greenlets: true,
        };
        let wsgi = WsgiApp::with(callable, worker, &facts, environs)?;
        Ok(Self(Arc::new(Bridge { wsgi, agenda: Arc::new(Agenda::new(greenlets)) })))
    }
}

impl App for GreenletApp {
    fn drive(&self) -> Drive {
        Drive::Hosted
    }

    /// WSGI has no word for more.
    fn converses(&self) -> bool {
        false
    }

    fn watch(&self, request: &mut Request) -> Option<Box<dyn Watch>> {
        let watch = self.0.wsgi.watch(request)?;
        Some(Box::new(Watched { watch, agenda: self.0.agenda.clone() }))
    }

    /// Called by the connection, inside the server's loop: no Python runs here.
    fn call(&self, mut request: Box<Request>) -> Answer {
        let agenda = &self.0.agenda;
        let has_body = has_body(&request);
        let exchange = Exchange::new(agenda, &mut request);
        agenda.begin(Work::Call(Box::new(Call { request, has_body, exchange: exchange.clone() })));
        Answer::Later(Box::pin(Answering::new(exchange)))
    }

    fn withdraw(&self, number: u64) -> bool {
        self.0.agenda.withdraw(number)
    }

    fn interrupt(&self, number: u64, tell: TellStack) {
        self.0.agenda.interrupt(number, tell);
    }

    fn host(&self, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
        host::run(&self.0, guest)
    }

    /// Greenlets may go on after their clients have left.
    fn settle(&self) -> BoxFuture<'_, ()> {
        let running = self.0.agenda.running();
        Box::pin(poll_fn(|cx| if running.is_quiet(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }))
    }

    fn cancel(&self) -> Vec<String> {
        self.0.agenda.cancel()
    }
}

/// A request whose end a hook waits for: it hears of it in a greenlet.
struct Watched {
    watch: Box<dyn Watch>,
    agenda: Arc<Agenda>,
}

impl Watch for Watched {
    fn answered(&mut self, head: &Head) {
        self.watch.answered(head);
    }

    fn over(self: Box<Self>, sent: u64) -> Option<ExitCode> {
        self.agenda.begin(Work::Over(self.watch, sent));
        None
    }
}
