//! From layers to settings: precedence, leniency, clamps, and all errors at once.

use std::time::Duration;

use ferricorn_config::{
    AllowList, Bind, Dict, Facts, Foreign, Grammar, HeaderMapPolicy, Layers, LogLevel, LogTarget, Note,
    ProxyProtocol, RealIp, Resolved, SettingError, Settings, Value, WorkerClass,
};

fn facts() -> Facts {
    Facts { cpus: 6, directory: "/srv".into(), program: "prog".to_owned() }
}

fn dict<const N: usize>(values: [(&str, Value); N]) -> Dict {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn env(name: &str) -> Option<String> {
    match name {
        "WEB_CONCURRENCY" => Some("2".to_owned()),
        "PORT" => Some("5000".to_owned()),
        "SCRIPT_NAME" => Some("/app".to_owned()),
        _ => None,
    }
}

fn file<const N: usize>(values: [(&str, Value); N]) -> Layers {
    Layers::new().file("conf.py", dict(values))
}

fn resolved(layers: &Layers) -> Resolved {
    layers.resolve(&facts()).expect("good settings")
}

fn settings<const N: usize>(values: [(&str, Value); N]) -> Settings {
    resolved(&file(values)).settings
}

fn errors(layers: &Layers) -> Vec<SettingError> {
    layers.resolve(&facts()).expect_err("bad settings")
}

fn tcp(host: &str, port: u16) -> Bind {
    Bind::Tcp { host: host.to_owned(), port }
}

#[test]
fn a_higher_layer_wins_over_a_lower_one() {
    let workers = |layers: &Layers| (resolved(layers).settings.workers, layers.source("workers"));
    let layers = Layers::new();
    assert_eq!(workers(&layers), (1, "default".to_owned()));
    let layers = layers.environment(env);
    assert_eq!(workers(&layers), (2, "WEB_CONCURRENCY in the environment".to_owned()));
    let layers = layers.file("/srv/gunicorn.conf.py", dict([("workers", 3.into())]));
    assert_eq!(workers(&layers), (3, "/srv/gunicorn.conf.py".to_owned()));
    let layers = layers.arguments("GUNICORN_CMD_ARGS", dict([("workers", "4".into())]));
    assert_eq!(workers(&layers), (4, "GUNICORN_CMD_ARGS, --workers".to_owned()));
    let layers = layers.command_line(dict([("workers", "5".into())]));
    assert_eq!(workers(&layers), (5, "the command line, --workers".to_owned()));
}

#[test]
fn lists_and_dictionaries_replace_those_below() {
    let layers = Layers::new().environment(env);
    assert_eq!(resolved(&layers).settings.bind, [tcp("0.0.0.0", 5000)]);
    let layers = layers.file(
        "conf.py",
        dict([
            ("bind", vec!["a:1", "b:2"].into()),
            ("secure_scheme_headers", Value::from(dict([("X-SCHEME", "https".into())]))),
        ]),
    );
    let settings = resolved(&layers).settings;
    assert_eq!(settings.bind, [tcp("a", 1), tcp("b", 2)]);
    assert_eq!(settings.trust.secure_scheme_headers.len(), 1);
    assert_eq!(settings.trust.secure_scheme_headers[0].0, "x-scheme");
    let layers = layers.command_line(dict([("bind", vec!["c:3"].into())]));
    assert_eq!(resolved(&layers).settings.bind, [tcp("c", 3)]);
}

#[test]
fn the_defaults_are_gunicorns() {
    let settings = resolved(&Layers::new()).settings;
    assert_eq!(settings.app, None);
    assert_eq!(settings.bind, [tcp("127.0.0.1", 8000)]);
    assert_eq!((settings.workers, settings.threads, settings.backlog), (1, 1, 2048));
    assert_eq!(settings.worker_class, WorkerClass::Async);
    assert_eq!(settings.timeout, Some(Duration::from_secs(30)));
    assert_eq!(settings.keepalive, Duration::from_secs(75));
    assert_eq!(settings.limits.request_line, 4094);
    assert_eq!(settings.limits.request_body, None);
    assert_eq!(settings.chdir, std::path::Path::new("/srv"));
    assert_eq!((settings.accesslog, settings.errorlog), (None, LogTarget::Stderr));
    assert_eq!(settings.loglevel, LogLevel::Info);
    assert_eq!(settings.proc_name, "prog");
    assert_eq!(settings.trust.header_map, HeaderMapPolicy::Drop);
    assert!(settings.trust.forwarded_allow_ips.contains(&"127.0.0.1:1".parse().unwrap()));
    assert!(!settings.trust.forwarded_allow_ips.contains(&"127.0.0.2:1".parse().unwrap()));
}

#[test]
fn a_config_file_may_write_numbers_and_booleans_as_strings() {
    let settings = settings([
        ("workers", "0x10".into()),
        ("timeout", "0".into()),
        ("umask", "022".into()),
        ("limit_request_body", "1_000".into()),
        ("forwarded_allow_ips", "10.0.0.0/8, ::1".into()),
        ("raw_env", "A=b=c".into()),
        ("chdir", "site".into()),
        ("wsgi_app", "mine:app".into()),
    ]);
    assert_eq!((settings.workers, settings.timeout, settings.umask), (16, None, 0o22));
    assert_eq!(settings.limits.request_body, Some(1000));
    assert!(matches!(settings.trust.forwarded_allow_ips, AllowList::Nets(nets) if nets.len() == 2));
    assert_eq!(settings.raw_env, [("A".to_owned(), "b=c".to_owned())]);
    assert_eq!(settings.chdir, std::path::Path::new("/srv/site"));
    assert_eq!((settings.app.as_deref(), settings.proc_name.as_str()), (Some("mine:app"), "mine:app"));
    assert!(resolved(&file([("check_config", "true".into())])).check_config);
}

#[test]
fn limits_are_clamped_as_gunicorn_does() {
    let limits = |line: i64, fields: i64, size: i64| {
        let limits = settings([
            ("limit_request_line", line.into()),
            ("limit_request_fields", fields.into()),
            ("limit_request_field_size", size.into()),
        ])
        .limits;
        (limits.request_line, limits.request_fields, limits.request_field_size)
    };
    assert_eq!(limits(0, 0, 0), (8190, 32_768, 8190));
    assert_eq!(limits(8191, 32_769, 9000), (8190, 32_768, 9000));
    assert_eq!(limits(8190, 1, 10), (8190, 1, 10));
}

#[test]
fn auto_means_as_many_workers_as_cores_and_none_is_allowed() {
    assert_eq!(settings([("workers", "auto".into())]).workers, 6);
    assert_eq!(settings([("workers", 0.into())]).workers, 0);
}

#[test]
fn all_errors_come_at_once_each_with_its_source() {
    let layers = Layers::new()
        .environment(|name| (name == "WEB_CONCURRENCY").then(|| "many".to_owned()))
        .file("conf.py", dict([("backlog", (-3).into()), ("bind", "::1".into()), ("timeout", 2.5.into())]))
        .arguments("GUNICORN_CMD_ARGS", dict([("keepalive", "-1".into())]))
        .command_line(dict([
            ("header_map", "x".into()),
            ("forwarded_allow_ips", "10.0.0.0/8,nowhere".into()),
        ]));
    let errors = errors(&layers);
    let keys: Vec<_> = errors.iter().map(|error| (error.key.as_str(), error.source.as_str())).collect();
    assert_eq!(
        keys,
        [
            ("bind", "conf.py"),
            ("backlog", "conf.py"),
            ("workers", "WEB_CONCURRENCY in the environment"),
            ("timeout", "conf.py"),
            ("keepalive", "GUNICORN_CMD_ARGS, --keep-alive"),
            ("forwarded_allow_ips", "the command line, --forwarded-allow-ips"),
            ("header_map", "the command line, --header-map"),
        ]
    );
    assert!(errors.iter().all(|error| !error.usage));
    let told = errors[2].to_string();
    assert!(
        told.contains("\"many\"") && told.contains("`auto`") && told.contains("WEB_CONCURRENCY"),
        "{told}"
    );
}

#[test]
fn only_a_malformed_number_on_the_command_line_is_a_usage_error() {
    let usage = |text: &str| errors(&Layers::new().command_line(dict([("timeout", text.into())])))[0].usage;
    assert!(usage("abc"));
    assert!(!usage("-1"));
}

#[test]
fn what_would_be_missed_is_refused_and_its_default_is_not() {
    let refused = |name: &str, value: Value| file([(name, value)]).resolve(&facts()).is_err();
    for (name, value) in
        [("certfile", "a.pem".into()), ("protocol", "uwsgi".into()), ("worker_class", "tornado".into())]
    {
        assert!(refused(name, value), "{name}");
    }
    for (name, value) in [
        ("certfile", Value::from("")),
        ("preload_app", true.into()),
        ("protocol", "http".into()),
        ("logger_class", "gunicorn.glogging.Logger".into()),
        ("logconfig_dict", Value::from(Dict::new())),
        ("threads", 4.into()),
        ("capture_output", true.into()),
    ] {
        assert!(!refused(name, value), "{name}");
    }
}

#[test]
fn what_belongs_together_is_refused_in_one_line() {
    let layers = file([
        ("certfile", "a.pem".into()),
        ("keyfile", "a.key".into()),
        ("ssl_context", Foreign::Function.to_value()),
        ("suppress_ragged_eofs", false.into()),
    ]);
    let errors = errors(&layers.command_line(dict([("ciphers", "DEFAULT".into())])));
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in [
        "keyfile, certfile, ciphers, ssl_context: not supported yet",
        "conf.py and the command line",
        "a proxy",
    ] {
        assert!(told[0].contains(part), "{told:?}");
    }
    assert!(file([("http_protocols", "h2,h1".into())]).resolve(&facts()).is_err());
    assert!(
        file([("http_protocols", "h1".into()), ("http2_max_frame_size", 20_000.into())])
            .resolve(&facts())
            .is_ok()
    );
}

#[test]
fn none_is_the_default_where_gunicorn_takes_it() {
    let none = || Value::Empty(figment::value::Tag::Default, figment::value::Empty::None);
    let settings = settings([("errorlog", none()), ("header_map", none()), ("loglevel", none())]);
    assert_eq!((settings.errorlog, settings.loglevel), (LogTarget::Stderr, LogLevel::Info));
    assert_eq!(settings.trust.header_map, HeaderMapPolicy::Drop);
}

#[test]
fn as_many_app_threads_are_had_as_are_asked_for() {
    let resolved = |class: &str, threads: i64| {
        let Resolved { settings, notes, .. } =
            file([("worker_class", class.into()), ("threads", threads.into())]).resolve(&facts()).unwrap();
        (settings.threads, notes.into_iter().map(|note| note.message).collect::<Vec<_>>())
    };
    assert_eq!(resolved("async", 0), (1, vec![]));
    assert_eq!(resolved("async", 4), (4, vec![]));
    assert_eq!(resolved("gthread", 4), (4, vec![]));
    assert_eq!(resolved("gthread", 1), (1, vec![]));
    // gunicorn takes its other worker then, without a word.
    let (threads, notes) = resolved("sync", 4);
    assert_eq!(threads, 4);
    assert!(notes[0].contains("means gthread") && notes[0].contains("conf.py"), "{notes:?}");
    let (threads, notes) = resolved("gthread", 5_000);
    assert_eq!(threads, 256);
    assert!(notes[0].contains("at most 256 app threads"), "{notes:?}");
}

#[test]
fn proxies_are_trusted_as_the_settings_say() {
    let trust = settings([
        ("proxy_protocol", true.into()),
        ("proxy_allow_ips", "10.0.0.0/8, ::1".into()),
        ("real_ip_header", "X-Forwarded-For".into()),
        ("real_ip_hops", "2".into()),
    ])
    .trust;
    assert_eq!(trust.proxy_protocol, ProxyProtocol::Auto);
    assert!(trust.proxy_allow_ips.contains(&"10.9.9.9:1".parse().unwrap()));
    assert!(!trust.proxy_allow_ips.contains(&"127.0.0.1:1".parse().unwrap()));
    let header = "x-forwarded-for".parse().unwrap();
    assert_eq!(trust.real_ip, Some(RealIp { header, hops: 2 }));
    let trust = settings([("proxy_protocol", "V2".into())]).trust;
    assert_eq!((trust.proxy_protocol, trust.real_ip), (ProxyProtocol::V2, None));
    let wrong = errors(&file([
        ("forwarded_allow_ips", "10.0.0.1/8".into()),
        ("proxy_protocol", "v3".into()),
        ("proxy_allow_ips", "localhost".into()),
        ("real_ip_header", "X Forwarded".into()),
        ("real_ip_hops", 0.into()),
    ]));
    let mut keys: Vec<_> = wrong.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    let all = ["forwarded_allow_ips", "proxy_allow_ips", "proxy_protocol", "real_ip_header", "real_ip_hops"];
    assert_eq!(keys, all);
}

#[test]
fn a_flag_that_took_the_app_for_its_value_says_how_to_prevent_it() {
    let errors = errors(&Layers::new().command_line(dict([("proxy_protocol", "mine:app".into())])));
    assert_eq!(errors[0].message, "\"mine:app\" is not one of off, v1, v2, auto");
    assert!(errors[0].hint.as_ref().unwrap().contains("--proxy-protocol=auto"), "{errors:?}");
}

#[test]
fn the_grammar_is_gunicorns_unless_told_otherwise() {
    assert_eq!(settings([]).grammar, Grammar::default());
    let grammar = settings([("strip_header_spaces", true.into()), ("require_host", "true".into())]).grammar;
    let wanted = Grammar { strip_header_spaces: true, require_host: true, ..Grammar::default() };
    assert_eq!(grammar, wanted);
}

#[test]
fn hooks_that_are_not_called_are_told_in_one_line_and_misspelt_names_are_guessed() {
    let layers = file([
        ("on_starting", Foreign::Function.to_value()),
        ("when_ready", "mine.hooks.ready".into()),
        ("on_dirty_starting", Foreign::Function.to_value()),
        ("dirty_post_fork", Foreign::Function.to_value()),
        ("worker_tmp_dir", "/dev/shm".into()),
        ("dirty_apps", vec!["a:B"].into()),
        ("time_out", 5.into()),
        ("colour_of_logo", 400.into()),
    ]);
    let Resolved { notes, settings, .. } = resolved(&layers);
    assert_eq!(settings.hooks, ["on_starting", "when_ready"]);
    let of =
        |level| notes.iter().filter(move |note| note.level == level).map(|note: &Note| note.message.as_str());
    let warnings: Vec<_> = of(LogLevel::Warning).collect();
    assert_eq!(warnings.len(), 2, "{notes:?}");
    assert!(
        warnings[0].contains("dirty_post_fork, on_dirty_starting: accepted but not called yet"),
        "{}",
        warnings[0]
    );
    assert!(warnings[1].contains("dirty_apps"));
    let details: Vec<_> = of(LogLevel::Debug).collect();
    assert_eq!(details.len(), 3, "{notes:?}");
    assert!(details[0].contains("did you mean timeout"), "{}", details[0]);
    assert!(details[1].contains("colour_of_logo"), "{}", details[1]);
    assert!(details[2].contains("worker_tmp_dir"));
}

#[test]
fn the_environment_is_a_default_and_an_empty_variable_is_none() {
    let layers = Layers::new().environment(|_| Some(String::new()));
    assert_eq!(resolved(&layers).settings.workers, 1);
    assert_eq!(resolved(&Layers::new().environment(env)).settings.script_name, "/app");
    // Who empties the list of those who are trusted trusts nobody.
    let nobody = Layers::new().environment(|name| (name == "FORWARDED_ALLOW_IPS").then(String::new));
    assert_eq!(resolved(&nobody).settings.trust.forwarded_allow_ips, AllowList::Nets(vec![]));
    let trusted = Layers::new().environment(|name| (name == "FORWARDED_ALLOW_IPS").then(|| "*".to_owned()));
    assert_eq!(resolved(&trusted).settings.trust.forwarded_allow_ips, AllowList::All);
}

#[test]
fn a_report_gives_each_value_with_its_source() {
    let hook = Foreign::Function.to_value();
    let report = file([("workers", "7".into()), ("bind", "h:1".into()), ("post_fork", hook)]).report();
    let line =
        |name: &str| report.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    assert!(line("workers").ends_with("= 7  # conf.py"), "{report}");
    assert!(line("bind").ends_with("= [\"h:1\"]  # conf.py"), "{report}");
    assert!(line("timeout").ends_with("= 30  # default"), "{report}");
    assert!(line("post_fork").ends_with("= a function  # conf.py"), "{report}");
    assert!(line("pre_fork").ends_with("= None  # default"), "{report}");
}

#[test]
fn an_unknown_level_is_info_and_a_warning() {
    let resolved = resolved(&file([("loglevel", "loud".into())]));
    assert_eq!(resolved.settings.loglevel, LogLevel::Info);
    assert!(resolved.notes[0].message.contains("loud"));
}
