//! The settings of ASGI apps and WebSockets: names that people already use, contradictions, and what zero means.

use std::time::Duration;

use ferricorn_config::{
    AsgiLoop, Dict, Facts, Foreign, Interface, Layers, Lifespan, LogLevel, Note, Resolved, SettingError,
    Value, WorkerClass,
};

fn facts() -> Facts {
    Facts { cpus: 1, directory: "/srv".into(), program: "prog".to_owned() }
}

fn layers<const N: usize>(values: [(&str, Value); N]) -> Layers {
    let values: Dict = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Layers::new().file("conf.py", values)
}

fn resolved<const N: usize>(values: [(&str, Value); N]) -> Resolved {
    layers(values).resolve(&facts()).expect("good settings")
}

fn error<const N: usize>(values: [(&str, Value); N]) -> SettingError {
    let mut errors = layers(values).resolve(&facts()).expect_err("bad settings");
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[test]
fn the_defaults_are_gunicorns_and_uvicorns() {
    let settings = resolved([]).settings;
    assert_eq!(settings.interface, Interface::Auto);
    assert_eq!((settings.asgi.event_loop, settings.asgi.lifespan), (AsgiLoop::Auto, Lifespan::Auto));
    assert_eq!(settings.asgi.disconnect_grace, Duration::from_secs(3));
    assert_eq!(settings.asgi.root_path, "");
    assert_eq!(settings.websocket.max_message_size, Some(16 * 1024 * 1024));
    let twenty = Some(Duration::from_secs(20));
    assert_eq!((settings.websocket.ping_interval, settings.websocket.ping_timeout), (twenty, twenty));
    assert!(settings.websocket.per_message_deflate);
}

#[test]
fn what_is_set_is_obeyed_and_zero_means_never() {
    let settings = resolved([
        ("interface", "WSGI".into()),
        ("asgi_loop", "uvloop".into()),
        ("asgi_lifespan", "off".into()),
        ("asgi_disconnect_grace_period", 0.into()),
        ("root_path", "/api/".into()),
        ("websocket_max_message_size", 0.into()),
        ("ws_ping_interval", 0.into()),
        ("ws_ping_timeout", 2.5.into()),
        ("ws_per_message_deflate", "false".into()),
    ])
    .settings;
    assert_eq!(settings.interface, Interface::Wsgi);
    assert_eq!((settings.asgi.event_loop, settings.asgi.lifespan), (AsgiLoop::Uvloop, Lifespan::Off));
    assert_eq!((settings.asgi.disconnect_grace, settings.asgi.root_path.as_str()), (Duration::ZERO, "/api"));
    assert_eq!((settings.websocket.max_message_size, settings.websocket.ping_interval), (None, None));
    assert_eq!(settings.websocket.ping_timeout, Some(Duration::from_millis(2500)));
    assert!(!settings.websocket.per_message_deflate);
}

#[test]
fn uvicorns_worker_classes_mean_asgi_and_one_line_says_so() {
    for name in ["uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornWorker"] {
        let Resolved { settings, notes, .. } = resolved([("worker_class", name.into())]);
        assert_eq!((settings.worker_class, settings.interface), (WorkerClass::Asgi, Interface::Asgi));
        assert_eq!(settings.asgi.event_loop, AsgiLoop::Auto);
        let [Note { level: LogLevel::Info, message }] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(message.contains(name) && message.contains("means asgi"), "{message}");
    }
    let class = Foreign::Object("<class 'uvicorn_worker._workers.UvicornWorker'>").to_value();
    assert_eq!(resolved([("worker_class", class)]).settings.interface, Interface::Asgi);
    assert_eq!(resolved([("worker_class", "asgi".into())]).notes, []);
}

#[test]
fn the_h11_worker_brings_asyncios_loop_unless_a_loop_is_named() {
    let h11 = ("worker_class", Value::from("uvicorn.workers.UvicornH11Worker"));
    let Resolved { settings, notes, .. } = resolved([h11.clone()]);
    assert_eq!(settings.asgi.event_loop, AsgiLoop::Asyncio);
    assert!(notes[0].message.contains("asgi_loop asyncio"), "{notes:?}");
    let Resolved { settings, notes, .. } = resolved([h11, ("asgi_loop", "auto".into())]);
    assert_eq!(settings.asgi.event_loop, AsgiLoop::Auto);
    assert!(!notes[0].message.contains("asgi_loop"), "{notes:?}");
}

#[test]
fn a_worker_class_for_asgi_and_the_interface_wsgi_contradict_each_other() {
    let refused = error([("worker_class", "asgi".into()), ("interface", "wsgi".into())]);
    assert_eq!(refused.key, "interface");
    assert!(refused.hint.unwrap().contains("worker_class is from conf.py"));
    let refused = error([("worker_class", "gevent".into()), ("interface", "asgi".into())]);
    assert!(refused.message.contains("which is for WSGI"), "{refused}");
    let sync = resolved([("worker_class", "sync".into()), ("interface", "asgi".into())]).settings;
    assert_eq!((sync.worker_class, sync.interface), (WorkerClass::Sync, Interface::Asgi));
}

#[test]
fn threads_mean_nothing_to_an_asgi_app() {
    let Resolved { settings, notes, .. } = resolved([("worker_class", "asgi".into()), ("threads", 4.into())]);
    assert_eq!(settings.threads, 1);
    let [Note { level: LogLevel::Warning, message }] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(message.starts_with("threads has no effect") && message.contains("conf.py"), "{message}");
    assert_eq!(resolved([("threads", 4.into())]).settings.threads, 4);
}

#[test]
fn threads_mean_nothing_to_greenlets() {
    let Resolved { settings, notes, .. } =
        resolved([("worker_class", "gevent".into()), ("threads", 4.into())]);
    assert_eq!((settings.worker_class, settings.threads), (WorkerClass::Gevent, 1));
    let [Note { level: LogLevel::Warning, message }] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(message.contains("worker_connections"), "{message}");
}

#[test]
fn calls_that_begin_at_once_are_in_no_queue() {
    for class in ["gevent", "asgi"] {
        let Resolved { settings, notes, .. } =
            resolved([("worker_class", class.into()), ("queue_timeout", 2.into())]);
        assert_eq!(settings.queue_timeout, None);
        let [Note { level: LogLevel::Warning, message }] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(
            message.starts_with("queue_timeout has no effect") && message.contains("conf.py"),
            "{message}"
        );
    }
    let Resolved { settings, notes, .. } = resolved([("queue_timeout", 2.into())]);
    assert!(settings.queue_timeout.is_some() && notes.is_empty(), "{notes:?}");
}

#[test]
fn a_root_path_that_cannot_be_put_before_a_path_is_refused() {
    let error = error([("root_path", "api".into())]);
    assert_eq!((error.key.as_str(), error.hint.as_deref()), ("root_path", Some("write /api")));
}
