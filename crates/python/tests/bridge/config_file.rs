//! What a `gunicorn.conf.py` may say, and what is said of one that fails.

use ferricorn_config::{Dict, Foreign};
use ferricorn_python::{read_config_file, read_config_module};
use pyo3::Python;

fn read(code: &[u8]) -> Result<Dict, String> {
    Python::initialize();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gunicorn.conf.py");
    std::fs::write(&path, code).unwrap();
    read_config_file(&path).map(|said| said.values).map_err(|fault| fault.details().to_owned())
}

#[test]
fn it_is_known_on_which_line_a_name_is_set() {
    Python::initialize();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gunicorn.conf.py");
    let code = "
import os as bind
workers = timeout = 1
if True:
    backlog: int = 5
    try:
        (keepalive, [threads, *_]) = 1, [2, 3]
    except KeyError:
        pass
    finally:
        max_requests = 4
workers += 1
def post_fork(server, worker):
    pidfile = 'inner'
for umask in [1]: pass
";
    std::fs::write(&path, code).unwrap();
    let lines = read_config_file(&path).unwrap().lines;
    let line = |name: &str| lines.get(name).copied();
    for (name, wanted) in [
        ("workers", 12),
        ("timeout", 3),
        ("backlog", 5),
        ("keepalive", 7),
        ("threads", 7),
        ("max_requests", 11),
        ("post_fork", 13),
        ("bind", 2),
        ("umask", 15),
    ] {
        assert_eq!(line(name), Some(wanted), "{name}");
    }
    assert_eq!(line("pidfile"), None);
}

#[test]
fn a_class_may_be_given_by_a_function() {
    let dict = read(
        b"
class Logger: pass
def logger_class(): return Logger
",
    )
    .unwrap();
    assert_eq!(Foreign::of(&dict["logger_class"]), Some(Foreign::Object("<class '__config__.Logger'>")));
}

#[test]
fn values_of_every_kind_are_taken_over() {
    let dict = read(
        b"# -*- coding: latin-1 -*-
import os, pathlib
_private = 1
workers, timeout, daemon, chdir = 2 + 1, 30.5, False, pathlib.Path('/srv')
bind = ['127.0.0.1:0', 'unix:/run/a']
proc_name = 'M\xfcller'
raw_env, user = ('A=1',), None
logconfig_dict = {'version': 1, 'handlers': {'x': [os.path.join]}}
big, huge = 1 << 80, 1 << 800
syslog_addr = b'bytes'
class Logger: pass
logger_class = Logger
def post_fork(server, worker): pass
where = __file__
",
    )
    .unwrap();
    let text = |name: &str| dict[name].as_str().unwrap().to_owned();
    assert_eq!(dict["workers"].to_i128(), Some(3));
    assert_eq!(dict["timeout"].to_f64(), Some(30.5));
    assert_eq!(dict["daemon"].to_bool(), Some(false));
    assert_eq!(text("chdir"), "/srv");
    let bind: Vec<_> = dict["bind"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert_eq!(bind, ["127.0.0.1:0", "unix:/run/a"]);
    assert_eq!(text("proc_name"), "M\u{fc}ller");
    assert_eq!(dict["raw_env"].as_array().unwrap().len(), 1);
    assert_eq!(dict["user"].to_empty(), Some(figment::value::Empty::None));
    let handlers = &dict["logconfig_dict"].as_dict().unwrap()["handlers"];
    let handler = &handlers.as_dict().unwrap()["x"].as_array().unwrap()[0];
    assert_eq!(Foreign::of(handler), Some(Foreign::Function));
    assert_eq!(dict["big"].to_i128(), Some(1 << 80));
    assert_eq!(Foreign::of(&dict["logger_class"]), Some(Foreign::Object("<class '__config__.Logger'>")));
    assert_eq!(Foreign::of(&dict["huge"]).map(|huge| matches!(huge, Foreign::Object(_))), Some(true));
    assert_eq!(Foreign::of(&dict["syslog_addr"]), Some(Foreign::Object("b'bytes'")));
    assert_eq!(Foreign::of(&dict["post_fork"]), Some(Foreign::Function));
    assert!(text("where").ends_with("gunicorn.conf.py"));
    assert!(!dict.contains_key("os") && !dict.contains_key("_private"));
}

#[test]
fn a_file_that_fails_is_told_with_its_traceback_and_no_frame_of_ours() {
    let message = read(b"x = 1\ny = x / 0\n").unwrap_err();
    assert!(message.starts_with("Traceback (most recent call last):\n  File \""), "{message}");
    assert!(message.contains("gunicorn.conf.py\", line 2, in <module>"), "{message}");
    assert!(message.ends_with("ZeroDivisionError: division by zero"), "{message}");
    assert_eq!(message.matches("  File ").count(), 1, "{message}");
    assert!(read(b"def x(:").unwrap_err().contains("SyntaxError"));
    assert!(read(b"raise SystemExit(3)").unwrap_err().contains("SystemExit: 3"));
    let missing =
        read_config_file(std::path::Path::new("/nonexistent/gunicorn.conf.py")).unwrap_err().message;
    assert!(missing.starts_with("the file cannot be read: No such file or directory"), "{missing}");
}

#[test]
fn a_module_runs_again_each_time() {
    Python::initialize();
    let here = std::env::current_dir().unwrap();
    let package = tempfile::Builder::new().prefix("package").tempdir_in(here).unwrap();
    let conf = package.path().join("conf.py");
    std::fs::write(&conf, "workers = 2").unwrap();
    let name = format!("{}.conf", package.path().file_name().unwrap().to_str().unwrap());
    let first = read_config_module(&name);
    std::fs::write(&conf, "workers = 3  # more").unwrap();
    let second = read_config_module(&name);
    assert_eq!(first.unwrap().values["workers"].to_i128(), Some(2));
    assert_eq!(second.unwrap().values["workers"].to_i128(), Some(3));
    assert!(
        read_config_module("no_such_module_")
            .unwrap_err()
            .message
            .contains("No module named 'no_such_module_'")
    );
}
