//! What the error log writes, read back from a file.

use std::fs;
use std::path::{Path, PathBuf};

use ferricorn_config::{LogLevel, LogSettings, LogTarget};

use super::{ErrorLog, Records};

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn log_in(folder: &Path, level: LogLevel) -> (ErrorLog, PathBuf) {
    let path = folder.join("error.log");
    (ErrorLog::open(&LogTarget::File(path.clone()), &LogSettings::default(), level).unwrap(), path)
}

fn recording(log: &ErrorLog, run: impl FnOnce()) {
    tracing::subscriber::with_default(Records::new(log.clone()), run);
}

#[test]
fn a_record_has_gunicorns_form() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = log_in(folder.path(), LogLevel::Info);
    recording(&log, || {
        tracing::info!("Booting worker with pid: {}", 7);
        tracing::warn!("careful");
        tracing::error!(critical = true, "WORKER TIMEOUT (pid:7)");
        tracing::error!(code = 3, "failed");
    });
    let lines = lines(&path);
    let pid = std::process::id();
    let (stamp, rest) = lines[0].split_at("[2026-11-22 12:34:09 +0000]".len());
    chrono::DateTime::parse_from_str(stamp, "[%Y-%m-%d %H:%M:%S %z]").unwrap();
    assert_eq!(rest, format!(" [{pid}] [INFO] Booting worker with pid: 7"));
    assert!(lines[1].ends_with("] [WARNING] careful"));
    assert!(lines[2].ends_with("] [CRITICAL] WORKER TIMEOUT (pid:7)"));
    assert!(lines[3].ends_with("] [ERROR] failed code=3"));
    assert_eq!(lines.len(), 4);
}

#[test]
fn the_level_filters_and_debug_is_for_our_own_crates() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = log_in(folder.path(), LogLevel::Debug);
    recording(&log, || {
        tracing::debug!(target: "ferricorn_worker_async::gate", "ours");
        tracing::debug!(target: "hyper::proto", "theirs");
        tracing::info!(target: "shop", "of a Rust app");
        tracing::trace!(target: "ferricorn", "never");
    });
    let shown: Vec<_> =
        lines(&path).iter().map(|line| line.rsplit("] ").next().unwrap().to_owned()).collect();
    assert_eq!(shown, ["ours", "of a Rust app"]);

    let (log, path) = log_in(tempfile::tempdir().unwrap().keep().as_path(), LogLevel::Critical);
    recording(&log, || {
        tracing::error!("not this");
        tracing::error!(critical = true, "but this");
    });
    assert_eq!(lines(&path).len(), 1);
    assert!(lines(&path)[0].ends_with("[CRITICAL] but this"));
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn a_traceback_keeps_its_lines_and_a_terminal_is_not_driven() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = log_in(folder.path(), LogLevel::Info);
    recording(&log, || tracing::error!("Traceback:\n\tFile \"x\"\nValueError: \u{1b}[2J\r\n"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with("[ERROR] Traceback:\n\tFile \"x\"\nValueError: \\x1B[2J\\x0D\n"), "{text}");
}

#[test]
fn reopening_follows_a_rotation_and_retargeting_changes_file_and_level() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = log_in(folder.path(), LogLevel::Warning);
    let rotated = folder.path().join("error.log.1");
    let other = folder.path().join("other.log");
    recording(&log, || {
        tracing::warn!("one");
        fs::rename(&path, &rotated).unwrap();
        tracing::warn!("two");
        log.reopen().unwrap();
        tracing::warn!("three");
        tracing::info!("not wanted yet");
        log.retarget(&LogTarget::File(other.clone()), &LogSettings::default(), LogLevel::Info).unwrap();
        tracing::info!("four");
        log.write_raw(b"raw\n").unwrap();
    });
    assert_eq!(lines(&rotated).len(), 2);
    assert_eq!(lines(&path).len(), 1);
    let other = lines(&other);
    assert!(other[0].ends_with("[INFO] four"));
    assert_eq!(other[1], "raw");
}

#[test]
fn a_file_that_cannot_be_opened_is_named_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = log_in(folder.path(), LogLevel::Info);
    let missing = folder.path().join("no/such/folder.log");
    let error =
        log.retarget(&LogTarget::File(missing.clone()), &LogSettings::default(), LogLevel::Info).unwrap_err();
    assert!(error.to_string().starts_with("cannot open the error log "), "{error}");
    assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    log.write_raw(b"still here\n").unwrap();
    assert_eq!(lines(&path), ["still here"]);
}

#[test]
fn a_json_record_is_one_object_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("error.log");
    let json = LogSettings { json: true, ..LogSettings::default() };
    let log = ErrorLog::open(&LogTarget::File(path.clone()), &json, LogLevel::Info).unwrap();
    recording(&log, || {
        tracing::info!("Booting worker with pid: {}", 7);
        tracing::error!(critical = true, "Traceback:\n  \u{1b}[2J\"\n");
        tracing::warn!(code = 3, name = "a b", which = ?Some(1), "failed");
        log.write_raw(b"of the ").unwrap();
        log.write_raw(b"app\n\xe9\nrest").unwrap();
    });
    let lines = lines(&path);
    let objects: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line.is_ascii()));
    let told = |at: usize, name: &str| objects[at][name].as_str().unwrap().to_owned();
    assert_eq!(objects[0]["pid"], std::process::id());
    chrono::DateTime::parse_from_rfc3339(&told(0, "time")).unwrap();
    assert_eq!((told(0, "level"), told(0, "message")), ("INFO".into(), "Booting worker with pid: 7".into()));
    assert_eq!(
        (told(1, "level"), told(1, "message")),
        ("CRITICAL".into(), "Traceback:\n  \u{1b}[2J\"".into())
    );
    let fields = serde_json::json!({"code": 3, "name": "a b", "which": "Some(1)"});
    assert_eq!((told(2, "message"), &objects[2]["fields"]), ("failed".into(), &fields));
    assert_eq!((told(3, "message"), told(3, "stream")), ("of the app".into(), "wsgi.errors".into()));
    assert_eq!((told(4, "message"), objects.len()), ("\u{fffd}".into(), 5));
}
