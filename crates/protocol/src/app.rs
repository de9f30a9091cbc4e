//! The application and how it comes into a worker.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use crate::{AppFault, Cause, ExitCode, Guest, Head, Request, Response, ResponseBody, TellStack};

/// A boxed future, as `futures` calls it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An application, loaded in one worker and shared by its connections.
///
/// One method serves every kind of application, blocking or not. What differs is where the server calls it,
/// and the application says so once, with [`App::drive`].
pub trait App: Send + Sync + 'static {
    /// Where the server calls [`App::call`].
    fn drive(&self) -> Drive;

    /// Whether the application's interface knows more than requests and responses: it hears of clients that leave, and
    /// may be asked for a WebSocket. Of another one a client that shuts down its sending side gets its answer all the
    /// same, and a request for a WebSocket is one like any other.
    fn converses(&self) -> bool {
        !self.drive().blocks()
    }

    /// Answers one request. It takes `&self` because calls overlap: app threads and tasks share the app.
    fn call(&self, request: Box<Request>) -> Answer;

    /// Has the server tell what becomes of a request that it is about to call the app with. Called inside the server's loop.
    fn watch(&self, request: &mut Request) -> Option<Box<dyn Watch>> {
        let _ = request;
        None
    }

    /// Runs several calls on an app thread, one after the other. An app whose every call must enter something
    /// first, such as an interpreter, enters it once here, for all of them.
    fn around_calls(&self, calls: &mut dyn FnMut()) {
        calls();
    }

    /// Interrupts what the app does for the request with this number, whose [`Deadline`](crate::Deadline) is over: a task
    /// is cancelled, a step on an app thread gets an exception. It returns at once, before that has happened. `tell` is
    /// called with the stack of the call, once, from any thread; not at all if no stack can be had.
    ///
    /// A future is dropped as well ([`Answer::Later`]), which is all that there is to do about one of Rust's.
    fn interrupt(&self, number: u64, tell: TellStack) {
        let _ = number;
        tell(None);
    }

    /// Takes back the call for the request with this number, if it waits to begin. Whether it did: then the app will not
    /// be called for it. Only with [`Drive::Hosted`]; the server itself keeps the calls that wait for an app thread.
    fn withdraw(&self, number: u64) -> bool {
        let _ = number;
        false
    }

    /// Whether a thread of the app is in a step for the request with this number, and so has not heeded
    /// [`App::interrupt`] if that was called.
    fn is_held_by(&self, number: u64) -> bool {
        let _ = number;
        false
    }

    /// Starts a further app thread, on which the server runs `body`: it calls the application, and returns when the
    /// worker leaves. Called on a thread that lives for this alone, and only with [`Drive::Seat`].
    ///
    /// # Errors
    /// The thread cannot be started; `body` is dropped then.
    fn start_thread(&self, name: String, body: Box<dyn FnOnce() + Send>) -> Result<(), AppFault> {
        let started = thread::Builder::new().name(name).spawn(body);
        started.map(drop).map_err(|error| AppFault::new(error.to_string()))
    }

    /// Runs the app's own event loop on the calling thread, and has it turn the server's, until a pump says that
    /// the worker's life is over. Only with [`Drive::Hosted`].
    ///
    /// # Errors
    /// The loop could not run, or has ended before its time.
    fn host(&self, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
        drop(guest);
        Err(AppFault::new("the app has no event loop of its own"))
    }

    /// Runs once, in the worker's runtime, before the first request (ASGI's `lifespan.startup`).
    fn startup(&self) -> BoxFuture<'_, Result<(), AppFault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Runs before [`App::shutdown`], in the worker's runtime: waits for calls that go on after their responses. Given up
    /// when the shutdown would have no time.
    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Cancels the calls for which [`App::settle`] waits, and says which those are whose clients have their responses, as
    /// `METHOD /path`. They may need a moment to end.
    fn cancel(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether [`App::shutdown`] has something to do, so that a part of the graceful timeout must be left for it. Asked
    /// when the worker is to leave.
    fn must_shut_down(&self) -> bool {
        false
    }

    /// Runs once, in the worker's runtime, after the last request, within the graceful timeout.
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Wants to know what becomes of one request.
pub trait Watch: Send {
    /// The response that is sent. Not called for one that takes the connection over, nor if there is none.
    fn answered(&mut self, head: &Head);

    /// The request is over, and so many bytes of its response's body were sent. Called on the app thread of
    /// the call if the app blocks, or on any if there was none; else inside the server's loop. Gives the status with
    /// which the worker is to leave, if the app asks for that.
    fn over(self: Box<Self>, sent: u64) -> Option<ExitCode>;
}

/// Where an application is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// On an app thread and outside the event loop, since the call blocks: WSGI. The request body is read
    /// whole beforehand.
    Seat,
    /// In the connection's own task, since the call returns at once with a future: Rust apps. The request
    /// body streams.
    Task,
    /// As [`Drive::Task`], in an event loop that is the guest of the app's own ([`App::host`]): asyncio, or a hub of
    /// greenlets. Everything happens on that loop's thread.
    Hosted,
}

impl Drive {
    /// Whether a call blocks its thread.
    #[must_use]
    pub fn blocks(self) -> bool {
        self == Self::Seat
    }
}

/// What a call gives back.
pub enum Answer {
    /// A whole response (its body may still come in pieces).
    Response(Box<Response>),
    /// The response began with [`Early::begin`](crate::Early::begin); this is the rest of its body.
    Begun(ResponseBody),
    /// A future that gives the response, polled in the connection's task. Not with [`Drive::Seat`].
    Later(BoxFuture<'static, Result<Box<Response>, AppFault>>),
    /// The application failed. If nothing was sent yet the client gets a 500, else its connection is closed.
    Fault(AppFault),
}

/// Brings the application into a worker, after the fork.
pub trait Loader {
    /// Loads the application. Blocks as long as an import takes.
    ///
    /// # Errors
    /// What the operator must be told, and the exit code that says it to the master.
    fn load(&self, worker: &WorkerInfo) -> Result<Arc<dyn App>, LoadError>;

    /// Who knows the files of the application's code, loaded or not; `None` if it is not loaded from files.
    fn sources(&self) -> Option<Arc<dyn Sources>> {
        None
    }

    /// Imports what workers can share of the application, in the process that they are forked from; [`Loader::load`] is then
    /// called in each of them. Nothing that cannot live through a fork is made.
    ///
    /// # Errors
    /// As [`Loader::load`].
    fn preload(&self) -> Result<(), LoadError> {
        Ok(())
    }
}

/// Knows the files that an application's code has come from, for whoever watches them (`--reload`).
pub trait Sources: Send + Sync {
    /// Those that are known by now, as absolute paths, in any order. Called from a thread that may wait; `None` if the
    /// application cannot be asked any more.
    fn files(&self) -> Option<Vec<PathBuf>>;
}

/// What an application may know of the worker that it runs in.
#[derive(Clone, Debug)]
pub struct WorkerInfo {
    /// How many workers were forked before this one, plus one (gunicorn's `worker.age`).
    pub age: u64,
    /// Whether other workers may run the same application (`wsgi.multiprocess`).
    pub multiprocess: bool,
    /// How many app threads may call the application at the same time (`wsgi.multithread` if more than one).
    pub app_threads: usize,
    /// Names of environ variables that the access log wants (its `%({name}e)s` atoms).
    pub log_environ: Vec<String>,
}

/// Why the application could not be loaded.
#[derive(Debug)]
pub struct LoadError {
    /// [`ExitCode::BOOT_ERROR`] or [`ExitCode::APP_LOAD_ERROR`].
    pub exit: ExitCode,
    /// The status with which the application's code asked for the end of the process (`SystemExit`), if it did.
    pub asked: Option<ExitCode>,
    /// One line that names the thing and, where it is known, what to do.
    pub message: String,
    /// The traceback of the user's code, if it is the user's code that failed.
    pub traceback: Option<String>,
    /// What that code has raised, where the log wants it.
    pub cause: Option<Cause>,
    /// The files in which the failure lies, as far as it is known, and those that are missing: a change of one may mend
    /// it.
    pub files: Vec<PathBuf>,
}
