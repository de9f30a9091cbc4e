//! How an application is named, found and refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferricorn_config::{AsgiLoop, AsgiSettings, Interface, Lifespan, WorkerClass};
use ferricorn_protocol::{Drive, ExitCode, LoadError, Loader};
use ferricorn_python::AppLoader;
use pyo3::Python;

use crate::support::worker;

/// A directory with one module of a name that no other test has.
struct Project {
    directory: tempfile::TempDir,
    module: String,
}

impl Project {
    fn new(code: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Python::initialize();
        let module = format!("project{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(format!("{module}.py")), code).unwrap();
        Self { directory, module }
    }

    /// Loads the application whose name is this one with `M` for the module.
    fn load(&self, app: &str) -> Result<Drive, LoadError> {
        self.load_with(app, Vec::new())
    }

    fn load_with(&self, app: &str, raw_env: Vec<(String, String)>) -> Result<Drive, LoadError> {
        // The working directory belongs to the whole process, so it stays what it is; the module is found
        // through the path.
        let loader = AppLoader {
            app: app.replace('M', &self.module),
            embedding: None,
            paste: None,
            chdir: std::env::current_dir().unwrap(),
            pythonpath: vec![self.path().to_owned()],
            raw_env,
            interface: Interface::Auto,
            worker_class: WorkerClass::Async,
            worker_connections: 1000,
            script_name: String::new(),
            asgi: asgi(),
            deadlines: false,
            errors: Arc::new(|_| ()),
            preloaded: std::sync::Mutex::default(),
        };
        loader.load(&worker()).map(|app| app.drive())
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn fail(&self, app: &str) -> (ExitCode, String) {
        let error = self.load(app).expect_err("the application was accepted");
        (error.exit, error.message.replace(&self.module, "M"))
    }
}

fn asgi() -> AsgiSettings {
    AsgiSettings {
        event_loop: AsgiLoop::Auto,
        lifespan: Lifespan::Auto,
        disconnect_grace: Duration::ZERO,
        root_path: String::new(),
    }
}

const GOOD: &str = "
def application(environ, start_response): pass
app = application
class Callable:
    def __call__(self, environ, start_response): pass
instance = Callable()
def make(first, *, second=None):
    assert (first, second) == ('x', [1, {'y': None}])
    return application
nothing, number = None, 7
def empty(): pass
def broken(): raise RuntimeError('no database')
def wrong(): len(5)
async def coroutine(): pass
async def asgi(scope, receive, send): pass
";

#[test]
fn modules_attributes_and_factories_are_found() {
    let project = Project::new(GOOD);
    for app in ["M", "M:application", "M:app", "M:instance", "M:make('x', second=[1, {'y': None}])"] {
        let drive = project.load(app).unwrap_or_else(|error| panic!("{app}: {}", error.message));
        assert_eq!(drive, Drive::Seat, "{app}");
    }
    assert_eq!(project.load("M:asgi").map_err(|error| error.message), Ok(Drive::Hosted));
}

#[test]
fn an_object_that_is_not_usable_is_named_in_one_line() {
    let project = Project::new(GOOD);
    for (app, message) in [
        ("M:apo", "Failed to find attribute 'apo' in 'M'. Did you mean 'M:application'?"),
        ("M:", "Failed to parse '' as an attribute name or function call."),
        ("M:a b", "Failed to parse 'a b' as an attribute name or function call."),
        ("M:app.x", "Failed to parse 'app.x' as an attribute name or function call."),
        ("M:app.x()", "Function reference must be a simple name: 'app.x()'"),
        ("M:make(x)", "Failed to parse arguments as literal values: 'make(x)'"),
        ("M:make(**{})", "Failed to parse arguments as literal values: 'make(**{})'"),
        ("M:make()", "TypeError: make() missing 1 required positional argument: 'first'"),
        ("M:nothing", "Failed to find application object: 'M:nothing' is None."),
        ("M:empty()", "Failed to find application object: 'M:empty()' is None."),
        ("M:number", "Application object must be callable: 'M:number' is of type int."),
        ("", "No application module specified."),
    ] {
        assert_eq!(project.fail(app), (ExitCode::APP_LOAD_ERROR, message.to_owned()), "{app}");
    }
    let (exit, message) = project.fail("M:coroutine()");
    assert_eq!(exit, ExitCode::APP_LOAD_ERROR);
    assert!(
        message.ends_with("is of type coroutine. What makes an application cannot be an `async def`."),
        "{message}"
    );
}

#[test]
fn code_that_fails_is_a_boot_error_with_the_users_traceback() {
    for (code, app, message, frames) in [
        ("import no_such_thing_", "M", "ModuleNotFoundError: No module named 'no_such_thing_'", 1),
        ("def f():\n    1 / 0\nf()", "M", "ZeroDivisionError: division by zero", 2),
        ("raise SystemExit(0)", "M", "it ended the process with SystemExit: 0", 1),
        (GOOD, "M:broken()", "'M:broken()' failed: RuntimeError: no database", 1),
        (GOOD, "M:wrong()", "TypeError: object of type 'int' has no len()", 1),
    ] {
        let project = Project::new(code);
        let error = project.load(app).expect_err(app);
        assert_eq!(error.exit, ExitCode::BOOT_ERROR, "{app}");
        assert!(error.message.replace(&project.module, "M").ends_with(message), "{}", error.message);
        let traceback = error.traceback.unwrap();
        assert_eq!(traceback.matches("  File ").count(), frames, "{traceback}");
    }
    let error = Project::new("def f(:").load("M").expect_err("the syntax is wrong");
    assert!(error.message.contains("SyntaxError"), "{}", error.message);
}

#[test]
fn a_module_that_is_not_there_is_said_to_be_missing() {
    let project = Project::new("");
    let error = project.load("no_such_package_.wsgi").expect_err("there is no such package");
    assert_eq!((error.exit, error.traceback), (ExitCode::BOOT_ERROR, None));
    assert!(
        error.message.starts_with(
            "Failed to import 'no_such_package_.wsgi': ModuleNotFoundError: No module named 'no_such_package_'"
        ),
        "{}",
        error.message
    );
}

#[test]
fn a_path_in_place_of_a_module_gets_a_hint() {
    Python::initialize();
    let here = std::env::current_dir().unwrap();
    let directory = tempfile::Builder::new().prefix("package").tempdir_in(here).unwrap();
    let package = directory.path().file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::write(directory.path().join("site_.py"), "").unwrap();
    let loader = AppLoader {
        app: format!("{package}/site_.py:app"),
        embedding: None,
        paste: None,
        chdir: PathBuf::from("."),
        pythonpath: Vec::new(),
        raw_env: Vec::new(),
        interface: Interface::Auto,
        worker_class: WorkerClass::Async,
        worker_connections: 1000,
        script_name: String::new(),
        asgi: asgi(),
        deadlines: false,
        errors: Arc::new(|_| ()),
        preloaded: std::sync::Mutex::default(),
    };
    let Err(error) = loader.load(&worker()) else { panic!("a path was imported") };
    assert_eq!(error.message, format!("Failed to find application, did you mean '{package}.site_:app'?"));
}

#[test]
fn variables_are_set_before_the_import() {
    let project =
        Project::new("import os\nvalue = os.environ['FERRICORN_TEST']\ndef application(e, s): value");
    assert!(project.load("M").is_err());
    project.load_with("M", vec![("FERRICORN_TEST".to_owned(), "M=1".to_owned())]).unwrap();
}
