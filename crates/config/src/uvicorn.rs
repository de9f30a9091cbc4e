//! Worker classes that are derived from uvicorn's: what their `CONFIG_KWARGS` mean here.

use figment::value::{Dict, Value};

use crate::parse::is_a_users_own;
use crate::table;
use crate::value::{self, Typed};
use crate::{Layers, LogLevel, Note};

/// A class that is derived from `UvicornWorker`.
#[derive(Clone, Debug, Default)]
pub struct UvicornClass {
    /// Its name.
    pub name: String,
    /// The name of uvicorn's class that it is derived from.
    pub base: String,
    /// Its `CONFIG_KWARGS`: arguments of `uvicorn.Config`.
    pub arguments: Dict,
    /// What else of that class it changes.
    pub changes: Vec<String>,
}

/// What an argument of `uvicorn.Config` is here.
enum Meaning {
    /// This setting.
    Setting(&'static str),
    /// Nothing that anybody would miss; nor has it an effect with uvicorn's worker, as a rule.
    Nothing,
    /// Nothing, unless it has the value of uvicorn's default. The text says what to do instead.
    Instead(&'static str),
}

use Meaning::{Instead, Nothing, Setting};

const LOGS: Meaning = Instead("set loglevel, accesslog and logconfig");

/// The arguments that uvicorn 0.54 knows. Those that depend on their values are in [`of_value`].
const ARGUMENTS: [(&str, Meaning); 53] = [
    ("access_log", LOGS),
    ("app", Nothing),
    ("backlog", Setting("backlog")),
    ("callback_notify", Nothing),
    ("date_header", Instead("responses always have a Date (RFC 9110, section 6.6.1)")),
    ("env_file", Instead("read it in the config file, or set raw_env")),
    ("factory", Instead("name the app with parentheses, module:factory()")),
    ("fd", Nothing),
    ("forwarded_allow_ips", Setting("forwarded_allow_ips")),
    ("h11_max_incomplete_event_size", Instead("set limit_request_line and limit_request_field_size")),
    ("headers", Instead("have the app or the proxy add them")),
    ("host", Nothing),
    ("http", Nothing),
    ("http2", Instead("let a proxy in front speak HTTP/2 with clients")),
    ("interface", Instead("remove the worker class; it is found out whether the app is WSGI or ASGI")),
    ("lifespan", Setting("asgi_lifespan")),
    ("limit_concurrency", Instead("set worker_connections, beyond which clients wait")),
    ("limit_max_requests", Setting("max_requests")),
    ("limit_max_requests_jitter", Setting("max_requests_jitter")),
    ("log_config", LOGS),
    ("log_level", LOGS),
    ("loop", Setting("asgi_loop")),
    ("port", Nothing),
    ("proxy_headers", Nothing),
    ("reload", Nothing),
    ("reload_delay", Nothing),
    ("reload_dirs", Nothing),
    ("reload_excludes", Nothing),
    ("reload_includes", Nothing),
    ("reset_contextvars", Nothing),
    ("root_path", Setting("root_path")),
    ("server_header", Nothing),
    ("ssl_ca_certs", Setting("ca_certs")),
    ("ssl_cert_reqs", Setting("cert_reqs")),
    ("ssl_certfile", Setting("certfile")),
    ("ssl_ciphers", Setting("ciphers")),
    ("ssl_context_factory", Instead("let a proxy in front end TLS")),
    ("ssl_keyfile", Setting("keyfile")),
    ("ssl_keyfile_password", Instead("let a proxy in front end TLS")),
    ("ssl_version", Nothing),
    ("timeout_graceful_shutdown", Setting("graceful_timeout")),
    ("timeout_keep_alive", Setting("keepalive")),
    ("timeout_notify", Nothing),
    ("timeout_worker_healthcheck", Nothing),
    ("uds", Nothing),
    ("use_colors", Nothing),
    ("workers", Nothing),
    ("ws", Nothing),
    ("ws_max_queue", Instead("messages are read as the app asks for them")),
    ("ws_max_size", Setting("websocket_max_message_size")),
    ("ws_per_message_deflate", Setting("ws_per_message_deflate")),
    ("ws_ping_interval", Setting("ws_ping_interval")),
    ("ws_ping_timeout", Setting("ws_ping_timeout")),
];

impl Layers {
    /// The name of the worker class, if only the host may know what it is.
    #[must_use]
    pub fn users_own_worker_class(&self) -> Option<String> {
        let setting = table::find("worker_class")?;
        match value::of(setting, self.merged().get(setting.name)?) {
            Ok(Typed::Text(name)) if is_a_users_own(&name) => Some(name),
            _ => None,
        }
    }

    /// Takes a class that is derived from uvicorn's for `asgi`, with what its arguments mean; they count more than any
    /// other layer, as with uvicorn.
    #[must_use]
    pub fn uvicorn(mut self, class: &UvicornClass) -> Self {
        let UvicornClass { name, base, arguments, changes } = class;
        if !changes.is_empty() {
            self.refuse(
                "worker_class",
                format!(
                    "{name} changes {} of uvicorn's worker, and worker classes written in Python cannot drive this server; use asgi, \
                     and a hook such as post_fork or worker_exit",
                    changes.join(", ")
                ),
            );
        }
        let mut values = Dict::from([("worker_class".to_owned(), Value::from(base.as_str()))]);
        for (argument, value) in arguments {
            match of(argument, value, &self) {
                Ok(Some((setting, value))) => drop(values.insert(setting.to_owned(), value)),
                Ok(None) => {}
                Err(instead) => {
                    let message = format!("{argument} in CONFIG_KWARGS of {name} has no effect: {instead}");
                    self = self.noting(vec![Note { level: LogLevel::Warning, message }]);
                }
            }
        }
        self.file(&format!("CONFIG_KWARGS of {name}"), values)
    }
}

/// The setting that an argument stands for, and its value; or what to do instead.
fn of(argument: &str, value: &Value, layers: &Layers) -> Result<Option<(&'static str, Value)>, &'static str> {
    if let Some(decided) = of_value(argument, value, layers) {
        return decided;
    }
    match ARGUMENTS.iter().find(|(name, _)| *name == argument) {
        // uvicorn's `None` is gunicorn's setting as it is.
        Some((_, Setting(_))) if matches!(value, Value::Empty(..)) => Ok(None),
        Some((_, Setting(setting))) => Ok(Some((setting, value.clone()))),
        Some((_, Nothing)) => Ok(None),
        Some((_, Instead(instead))) => Err(instead),
        None => Err("there is nothing like it here"),
    }
}

/// The same where it depends on the value.
fn of_value(
    argument: &str,
    value: &Value,
    layers: &Layers,
) -> Option<Result<Option<(&'static str, Value)>, &'static str>> {
    let (word, truth) = (value.as_str(), value.to_bool());
    let is_none = matches!(value, Value::Empty(..));
    Some(match (argument, word, truth) {
        ("loop", Some("auto" | "asyncio" | "uvloop"), _) => return None,
        ("loop", Some("none"), _) => Ok(Some(("asgi_loop", Value::from("asyncio")))),
        ("loop", ..) => Err("asgi_loop knows auto, asyncio and uvloop"),
        ("interface", Some("auto" | "asgi2" | "asgi3"), _) => Ok(None),
        ("ws", Some("none"), _) => Err("WebSockets are offered to the app, which may decline them"),
        ("ws_ping_interval" | "ws_ping_timeout", ..) if is_none => {
            let setting = if argument == "ws_ping_interval" { "ws_ping_interval" } else { "ws_ping_timeout" };
            Ok(Some((setting, Value::from(0))))
        }
        ("server_header", _, Some(false)) => Ok(Some(("server_header", Value::from("")))),
        ("proxy_headers", _, Some(true)) => {
            let unset = layers.source("real_ip_header") == "default";
            Ok(unset.then(|| ("real_ip_header", Value::from("X-Forwarded-For"))))
        }
        ("proxy_headers", _, Some(false)) => Ok(Some(("forwarded_allow_ips", Value::from("")))),
        ("access_log" | "date_header", _, Some(true)) | ("factory" | "http2", _, Some(false)) => Ok(None),
        ("headers", ..) if value.as_array().is_some_and(<[Value]>::is_empty) => Ok(None),
        (
            "env_file"
            | "headers"
            | "limit_concurrency"
            | "log_config"
            | "log_level"
            | "h11_max_incomplete_event_size"
            | "ssl_context_factory"
            | "ssl_keyfile_password",
            ..,
        ) if is_none => Ok(None),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use figment::value::{Empty, Tag};

    use super::*;
    use crate::Facts;

    const NONE: Value = Value::Empty(Tag::Default, Empty::None);

    fn facts() -> Facts {
        Facts { cpus: 1, directory: "/".into(), program: "ferricorn".to_owned() }
    }

    fn layers(arguments: &[(&str, Value)]) -> Layers {
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let class = UvicornClass {
            name: "app.Mine".to_owned(),
            base: "uvicorn.workers.UvicornWorker".to_owned(),
            arguments,
            changes: Vec::new(),
        };
        Layers::new()
            .command_line([("worker_class".to_owned(), Value::from("app.Mine"))].into())
            .uvicorn(&class)
    }

    fn notes(layers: &Layers) -> Vec<String> {
        let resolved = layers.resolve(&facts()).unwrap();
        let told = |note: &Note| note.level == LogLevel::Warning;
        resolved.notes.into_iter().filter(told).map(|note| note.message).collect()
    }

    #[test]
    fn each_argument_is_listed_once_and_its_setting_exists() {
        let names: Vec<_> = ARGUMENTS.iter().map(|(name, _)| *name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        for (_, meaning) in &ARGUMENTS {
            if let Setting(setting) = meaning {
                assert!(table::find(setting).is_some(), "{setting}");
            }
        }
    }

    #[test]
    fn what_has_a_setting_here_is_that_and_counts_most() {
        let layers = layers(&[
            ("loop", Value::from("asyncio")),
            ("lifespan", Value::from("off")),
            ("ws_ping_interval", NONE),
            ("timeout_keep_alive", Value::from(9)),
            ("proxy_headers", Value::from(true)),
            ("server_header", Value::from(false)),
            ("http", Value::from("h11")),
            ("limit_max_requests", NONE),
        ]);
        let settings = layers.resolve(&facts()).unwrap().values;
        for (name, value) in [
            ("asgi_loop", Value::from("asyncio")),
            ("asgi_lifespan", Value::from("off")),
            ("real_ip_header", Value::from("X-Forwarded-For")),
            ("server_header", Value::from("")),
        ] {
            assert_eq!(settings[name].as_str(), value.as_str(), "{name}");
        }
        assert_eq!(layers.source("keepalive"), "CONFIG_KWARGS of app.Mine");
        assert_eq!(layers.source("max_requests"), "default");
        assert_eq!(notes(&layers), [""; 0]);
    }

    #[test]
    fn what_has_none_is_told_by_name() {
        let told = notes(&layers(&[
            ("headers", Value::from(vec![Value::from(vec!["a", "b"])])),
            ("date_header", Value::from(false)),
            ("log_level", Value::from("warning")),
            ("nonsense", Value::from(1)),
        ]));
        assert_eq!(told.len(), 4, "{told:?}");
        for argument in ["headers", "date_header", "log_level", "nonsense"] {
            let beginning = format!("{argument} in CONFIG_KWARGS of app.Mine has no effect: ");
            assert!(told.iter().any(|note| note.starts_with(&beginning)), "{argument}: {told:?}");
        }
    }

    #[test]
    fn a_class_that_changes_more_is_refused() {
        let class = UvicornClass { changes: vec!["run".to_owned()], ..UvicornClass::default() };
        let errors = Layers::new().uvicorn(&class).resolve(&facts()).unwrap_err();
        assert!(errors[0].to_string().contains("changes run of uvicorn's worker"), "{errors:?}");
    }
}
