//! The program with a host that is made up: which config file it asks for, and how it ends.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use ferricorn::{ConfigFile, Dict, FileValues, Host, Settings, Value, run};
use ferricorn_protocol::{Answer, App, AppFault, Drive, ExitCode, LoadError, Loader, Request, WorkerInfo};
use ferricorn_unix::{Away, Fork};

/// A host that needs an app, and whose config files hold what the test says.
#[derive(Default)]
struct Made {
    config: Option<Result<Dict, String>>,
    asked: RefCell<Vec<ConfigFile>>,
    loaded: RefCell<Vec<Settings>>,
    broken_app: bool,
}

impl Host for Made {
    fn description(&self) -> String {
        "made up".to_owned()
    }

    fn read_config(&self, source: &ConfigFile) -> Result<FileValues, AppFault> {
        self.asked.borrow_mut().push(source.clone());
        let said = self.config.clone().unwrap_or_else(|| Ok(Dict::new()));
        said.map(FileValues::from).map_err(AppFault::new)
    }

    fn fork(&self) -> io::Result<Fork> {
        unreachable!("nothing is served here")
    }

    fn fork_away(&self) -> io::Result<Away> {
        ferricorn_unix::fork_away()
    }

    fn detached(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    fn set_environment(&self, _variables: &[(String, String)]) -> Result<(), String> {
        Ok(())
    }

    fn loader(&self, settings: &Settings) -> Box<dyn Loader> {
        self.loaded.borrow_mut().push(settings.clone());
        Box::new(MadeLoader { broken: self.broken_app })
    }

    fn imports(&self) -> bool {
        false
    }

    fn needs_app(&self) -> bool {
        true
    }

    fn prepare_worker(&self, _stack_fd: BorrowedFd<'_>, _stack_signal: i32) {}
}

struct MadeLoader {
    broken: bool,
}

impl Loader for MadeLoader {
    fn load(&self, _worker: &WorkerInfo) -> Result<Arc<dyn App>, LoadError> {
        if self.broken {
            let message = "no module named mine".to_owned();
            return Err(LoadError {
                cause: None,
                exit: ExitCode::BOOT_ERROR,
                asked: None,
                message,
                traceback: None,
                files: Vec::new(),
            });
        }
        Ok(Arc::new(MadeApp))
    }
}

struct MadeApp;

impl App for MadeApp {
    fn drive(&self) -> Drive {
        Drive::Task
    }

    fn call(&self, _request: Box<Request>) -> Answer {
        Answer::Fault(AppFault::new("nothing is served here"))
    }
}

/// Runs `ferricorn` and returns its exit code.
fn code(host: &Made, arguments: &[&str]) -> i32 {
    run(std::iter::once("ferricorn").chain(arguments.iter().copied()).map(Into::into), host)
}

fn config<const N: usize>(values: [(&str, Value); N]) -> Option<Result<Dict, String>> {
    Some(Ok(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}

#[test]
fn without_an_app_nothing_starts() {
    assert_eq!(code(&Made::default(), &["--check-config"]), 1);
    assert_eq!(code(&Made::default(), &["-b", "127.0.0.1:0"]), 1);
}

#[test]
fn the_app_of_the_command_line_wins_over_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("conf.py");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let host = Made {
        config: config([("wsgi_app", "theirs:app".into()), ("workers", 7.into())]),
        ..Made::default()
    };
    assert_eq!(code(&host, &["--check-config", "-c", file]), 0);
    // What follows the app is passed over, as in gunicorn.
    assert_eq!(code(&host, &["--check-config", "-c", file, "mine:app", "-w", "2", "two:app"]), 0);
    let loaded = host.loaded.borrow();
    assert_eq!((loaded[0].app.as_deref(), loaded[0].workers), (Some("theirs:app"), 7));
    assert_eq!((loaded[1].app.as_deref(), loaded[1].workers), (Some("mine:app"), 2));
}

#[test]
fn a_config_file_is_named_in_three_ways() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("conf.py");
    fs::write(&file, "").unwrap();
    let host = Made::default();
    let path = file.to_str().unwrap();
    assert_eq!(code(&host, &["--check-config", "-c", path, "mine:app"]), 0);
    assert_eq!(code(&host, &["--check-config", "-c", &format!("file:{path}"), "mine:app"]), 0);
    assert_eq!(code(&host, &["--check-config", "-c", "python:conf", "mine:app"]), 0);
    let path = ConfigFile::Path(file);
    assert_eq!(*host.asked.borrow(), [path.clone(), path, ConfigFile::Module("conf".to_owned())]);
}

#[test]
fn a_config_file_that_is_missing_or_fails_is_a_configuration_error() {
    let host = Made::default();
    assert!(!Path::new("no.such.conf.py").exists());
    assert_eq!(code(&host, &["-c", "no.such.conf.py", "mine:app"]), 1);
    assert!(host.asked.borrow().is_empty());
    let host = Made { config: Some(Err("Traceback ...".to_owned())), ..Made::default() };
    assert_eq!(code(&host, &["-c", "python:conf", "mine:app"]), 1);
    let host = Made { config: config([("workers", "many".into())]), ..Made::default() };
    assert_eq!(code(&host, &["-c", "python:conf", "mine:app"]), 1);
}

#[test]
fn an_app_that_does_not_load_fails_the_check() {
    let host = Made { broken_app: true, ..Made::default() };
    assert_eq!(code(&host, &["--check-config", "mine:app"]), 1);
    assert_eq!(code(&host, &["--print-config", "mine:app"]), 1);
}

#[test]
fn usage_errors_are_2_and_help_is_0() {
    let host = Made::default();
    assert_eq!(code(&host, &["--no-such-flag", "mine:app"]), 2);
    assert_eq!(code(&host, &["--timeout"]), 2);
    assert_eq!(code(&host, &["--help"]), 0);
    assert_eq!(code(&host, &["--version"]), 0);
}
