//! Logs and metrics as the settings say.

use std::path::PathBuf;

use ferricorn_config::{
    Dict, Facts, Layers, LogSettings, RemoteAddress, Resolved, SettingError, UnixKind, Value,
};

fn resolve<const N: usize>(values: [(&str, Value); N]) -> Result<Resolved, Vec<SettingError>> {
    let facts = Facts { cpus: 1, directory: PathBuf::from("/srv"), program: "test".to_owned() };
    let values: Dict = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Layers::new().file("gunicorn.conf.py", values).resolve(&facts)
}

fn logs<const N: usize>(values: [(&str, Value); N]) -> LogSettings {
    resolve(values).expect("good settings").settings.logs
}

fn syslog_address(text: &str) -> Result<RemoteAddress, Vec<SettingError>> {
    let resolved = resolve([("syslog", true.into()), ("syslog_addr", text.into())])?;
    Ok(resolved.settings.logs.syslog.expect("a syslog").address)
}

fn statsd_address(text: &str) -> Result<RemoteAddress, Vec<SettingError>> {
    Ok(resolve([("statsd_host", text.into())])?.settings.logs.statsd.expect("a statsd").address)
}

#[test]
fn nothing_is_sent_unless_asked() {
    assert_eq!(logs([]), LogSettings::default());
    assert_eq!(logs([("syslog_prefix", "x".into()), ("statsd_prefix", "y".into())]), LogSettings::default());
}

#[test]
fn syslog_has_gunicorns_names_and_addresses() {
    let app = ("wsgi_app", "shop.wsgi:app".into());
    let syslog = logs([("syslog", true.into()), app]).syslog.unwrap();
    assert_eq!(
        (syslog.program.as_str(), syslog.facility, syslog.access),
        ("gunicorn.shop.wsgi.app", 1, true)
    );
    assert_eq!(syslog.address, RemoteAddress::Udp("localhost".into(), 514));
    let syslog = logs([
        ("syslog", true.into()),
        ("syslog_prefix", "shop\n".into()),
        ("syslog_facility", "LOCAL3".into()),
        ("disable_redirect_access_to_syslog", true.into()),
    ]);
    let syslog = syslog.syslog.unwrap();
    assert_eq!((syslog.program.as_str(), syslog.facility, syslog.access), ("gunicorn.shop", 19, false));
    for (text, address) in [
        ("udp://[::1]:1514", RemoteAddress::Udp("::1".into(), 1514)),
        ("tcp://Logs.example", RemoteAddress::Tcp("logs.example".into(), 514)),
        ("udp://:99", RemoteAddress::Udp("localhost".into(), 99)),
        ("unix:///dev/log", RemoteAddress::Unix("/dev/log".into(), UnixKind::Either)),
        ("unix:///dev/log#dgram", RemoteAddress::Unix("/dev/log".into(), UnixKind::Datagram)),
        ("unix:///dev/log#stream", RemoteAddress::Unix("/dev/log".into(), UnixKind::Stream)),
    ] {
        assert_eq!(syslog_address(text).unwrap(), address, "{text}");
    }
    for text in
        ["localhost:514", "udp://h:0", "udp://h:x", "udp://[::1", "unix://", "unix:///l#x", "http://h"]
    {
        assert_eq!(syslog_address(text).unwrap_err()[0].key, "syslog_addr", "{text}");
    }
    assert_eq!(resolve([("syslog_facility", "nobody".into())]).unwrap_err()[0].key, "syslog_facility");
}

#[test]
fn statsd_has_gunicorns_prefix_and_addresses() {
    let statsd = logs([
        ("statsd_host", "127.0.0.1:8125".into()),
        ("statsd_prefix", "shop..".into()),
        ("dogstatsd_tags", "a:b,c".into()),
    ]);
    let statsd = statsd.statsd.unwrap();
    assert_eq!((statsd.prefix.as_str(), statsd.tags.as_str()), ("shop.", "a:b,c"));
    for (text, address) in [
        ("stats", RemoteAddress::Udp("stats".into(), 8125)),
        ("[::1]:9", RemoteAddress::Udp("::1".into(), 9)),
        ("unix:9", RemoteAddress::Udp("unix".into(), 9)),
        ("unix:///run/statsd", RemoteAddress::Unix("/run/statsd".into(), UnixKind::Datagram)),
        ("unix:statsd", RemoteAddress::Unix("statsd".into(), UnixKind::Datagram)),
    ] {
        assert_eq!(statsd_address(text).unwrap(), address, "{text}");
    }
    assert!(statsd_address("h:port").is_err() && statsd_address("unix:").is_err());
    let tags = resolve([("statsd_host", "h".into()), ("dogstatsd_tags", "a\nforged:1|c".into())]);
    assert_eq!(tags.unwrap_err()[0].key, "dogstatsd_tags");
}

#[test]
fn output_is_captured_by_a_file_only() {
    let capture = ("capture_output", Value::from(true));
    assert!(!logs([capture.clone()]).capture_output);
    assert!(logs([capture, ("errorlog", "error.log".into())]).capture_output);
}

#[test]
fn what_json_leaves_without_effect_is_told() {
    let notes = |with: (&str, Value)| resolve([("access_log_json", true.into()), with]).unwrap().notes;
    let lonely = notes(("workers", 1.into()));
    assert!(lonely.len() == 1 && lonely[0].message.contains("there is no access log"), "{lonely:?}");
    assert_eq!(notes(("accesslog", "-".into())), []);
    let format = notes(("access_log_format", "%(h)s".into()));
    assert!(format[0].message.starts_with("access_log_format has no effect"), "{format:?}");
}

#[test]
fn python_logs_where_gunicorns_own_logger_is_not_enough() {
    let python = |name: &str, value: Value| logs([(name, value)]).python;
    let dictionary = Value::from(Dict::from([("version".to_owned(), Value::from(1))]));
    assert!(python("logger_class", "mine.Logger".into()));
    assert!(python("logconfig", "logging.ini".into()) && python("logconfig_json", "logging.json".into()));
    assert!(python("logconfig_dict", dictionary) && !python("logconfig_dict", Dict::new().into()));
    for class in ["simple", "gunicorn.glogging.Logger", "gunicorn.instrument.statsd.Statsd"] {
        assert!(!python("logger_class", class.into()), "{class}");
    }
    let notes = resolve([("logconfig", "x".into()), ("log_json", true.into())]).unwrap().notes;
    assert!(notes[0].message.starts_with("log_json has no effect: the logs go through Python"), "{notes:?}");
}
