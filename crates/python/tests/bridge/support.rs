//! An application from a few lines of Python, requests for it, and a client that records what is sent early.

use std::ffi::CString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ferricorn_protocol::{
    Answer, App, AppFault, ClientGone, Connection, Early, Head, Local, Pieces, Request, RequestBody,
    Response, ResponseBody, WorkerInfo,
};
use ferricorn_python::wsgi::{EnvironFactory, WsgiApp};
use http::HeaderMap;
use pyo3::prelude::*;

/// An application and the module that it lives in.
pub(crate) struct Site {
    module: Py<PyModule>,
    pub(crate) app: WsgiApp,
    /// What was written to `wsgi.errors`.
    pub(crate) errors: Arc<Mutex<Vec<u8>>>,
}

pub(crate) fn worker() -> WorkerInfo {
    WorkerInfo { age: 1, multiprocess: false, app_threads: 1, log_environ: Vec::new() }
}

impl Site {
    /// Runs the code, which defines `app`.
    pub(crate) fn new(code: &str) -> Self {
        Self::with(code, "", &worker())
    }

    pub(crate) fn with(code: &str, script_name: &str, worker: &WorkerInfo) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Python::initialize();
        let name = CString::new(format!("site{}", COUNT.fetch_add(1, Ordering::Relaxed))).unwrap();
        let errors = Arc::new(Mutex::new(Vec::new()));
        let sink = errors.clone();
        Python::attach(|py| {
            let code = CString::new(code).unwrap();
            let module = PyModule::from_code(py, &code, c"shop.py", &name).unwrap();
            let sink = Arc::new(move |bytes: &[u8]| sink.lock().unwrap().extend_from_slice(bytes));
            let environs = EnvironFactory::new(py, sink).unwrap();
            let app = WsgiApp::new(module.getattr("app").unwrap(), worker, script_name, environs).unwrap();
            Self { module: module.unbind(), app, errors }
        })
    }

    /// An application that keeps its environ in the global `environ`.
    pub(crate) fn keeping_environ() -> Self {
        Self::new(KEEPER)
    }

    pub(crate) fn answer(&self, request: Request) -> Answer {
        self.app.call(Box::new(request))
    }

    pub(crate) fn respond(&self, request: Request) -> Response {
        match self.answer(request) {
            Answer::Response(response) => *response,
            Answer::Fault(fault) => panic!("{fault}\n{}", fault.traceback.as_deref().unwrap_or_default()),
            Answer::Begun(_) | Answer::Later(_) => panic!("the head was sent early"),
        }
    }

    /// A plain GET that is answered.
    pub(crate) fn get(&self) -> Response {
        self.respond(get("/"))
    }

    /// A plain GET that fails.
    pub(crate) fn fail(&self) -> AppFault {
        match self.answer(get("/")) {
            Answer::Fault(fault) => fault,
            _ => panic!("the application did not fail"),
        }
    }

    /// The `repr` of an expression in the module.
    pub(crate) fn eval(&self, expression: &str) -> String {
        Python::attach(|py| {
            let expression = CString::new(expression).unwrap();
            let value = py.eval(&expression, Some(&self.module.bind(py).dict()), None).unwrap();
            value.repr().unwrap().to_string()
        })
    }

    /// The environ's value of a key, as its `repr`; `absent` if there is none.
    pub(crate) fn variable(&self, key: &str) -> String {
        match self.eval(&format!("{key:?} in environ")).as_str() {
            "True" => self.eval(&format!("environ[{key:?}]")),
            _ => "absent".to_owned(),
        }
    }
}

pub(crate) const KEEPER: &str = "
def app(env, start_response):
    global environ
    environ = env
    start_response('200 OK', [])
    return [b'kept']
";

pub(crate) fn tcp() -> Arc<Connection> {
    connection(
        Some(SocketAddr::from(([192, 0, 2, 7], 51234))),
        Local::Tcp(SocketAddr::from(([127, 0, 0, 1], 8000))),
    )
}

pub(crate) fn unix() -> Arc<Connection> {
    connection(None, Local::Unix(PathBuf::from("/run/site.sock")))
}

pub(crate) fn connection(peer: Option<SocketAddr>, local: Local) -> Arc<Connection> {
    Arc::new(Connection::new(peer, local, true))
}

pub(crate) fn get(target: &str) -> Request {
    let head = http::Request::builder().uri(target).body(()).unwrap().into_parts().0;
    Request::new(head, tcp(), RequestBody::Empty)
}

pub(crate) fn with_headers(mut request: Request, headers: &[(&str, &[u8])]) -> Request {
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.head.headers.append(name, http::HeaderValue::from_bytes(value).unwrap());
    }
    request
}

/// All bytes of a body, which is closed at its end.
pub(crate) fn collect(body: ResponseBody) -> Vec<u8> {
    let mut all = Vec::new();
    match body {
        ResponseBody::Empty => {}
        ResponseBody::Full(bytes) => all.extend_from_slice(&bytes),
        ResponseBody::Pulled { first, mut rest } => {
            all.extend_from_slice(&first);
            while let Some(piece) = rest.next().unwrap() {
                all.extend_from_slice(&piece);
            }
            rest.close().unwrap();
        }
        ResponseBody::File(_) | ResponseBody::Stream(_) | ResponseBody::WebSocket(_) => {
            panic!("the body is not in memory")
        }
    }
    all
}

/// The producer of a body that comes in pieces.
pub(crate) fn pieces(body: ResponseBody) -> (Bytes, Box<dyn Pieces>) {
    match body {
        ResponseBody::Pulled { first, rest } => (first, rest),
        _ => panic!("the body does not come in pieces"),
    }
}

/// What reached the client before the application returned.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) head: Mutex<Option<Head>>,
    pub(crate) body: Mutex<Vec<u8>>,
    /// The headers of each informational response.
    pub(crate) hints: Mutex<Vec<Vec<String>>>,
    /// How many pieces it takes before it leaves.
    pub(crate) patience: Mutex<Option<usize>>,
}

impl Client {
    fn take(&self, piece: &Bytes) -> Result<(), ClientGone> {
        let mut patience = self.patience.lock().unwrap();
        match &mut *patience {
            Some(0) => return Err(ClientGone),
            Some(left) => *left -= 1,
            None => {}
        }
        self.body.lock().unwrap().extend_from_slice(piece);
        Ok(())
    }
}

impl Early for Client {
    fn begin(&self, head: Head, first: Bytes) -> Result<(), ClientGone> {
        *self.head.lock().unwrap() = Some(head);
        self.take(&first)
    }

    fn write(&self, piece: Bytes) -> Result<(), ClientGone> {
        self.take(&piece)
    }

    fn hint(&self, headers: &HeaderMap) {
        let fields = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        self.hints.lock().unwrap().push(fields.collect());
    }
}
