//! Gathers what every source says about the settings: at the start, and again at each reload.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ferricorn_config::{
    CodeReload, Dict, Facts, FileValues, Layers, LogLevel, Note, ProxyProtocol, Resolved, SettingError, Value,
};
use ferricorn_telemetry::access_log;

use crate::command_line::{self, CommandLine};
use crate::stop::Stop;
use crate::{ConfigFile, Host, config_file, identity, origin};

/// Variables that hold further arguments, the weightiest last.
const ARGUMENTS: [&str; 2] = ["GUNICORN_CMD_ARGS", "FERRICORN_CMD_ARGS"];

/// What messages call the settings of a program that embeds the server.
const PROGRAM: &str = "load_config()";

/// What nobody expects of the PROXY protocol and the default of `forwarded_allow_ips` together. gunicorn has the same rule.
const CLIENTS_TRUSTED: &str = "proxy_protocol is on and forwarded_allow_ips is not set: if the load balancer is on this \
     machine and passes connections through, what clients themselves say in X-Forwarded-Proto, SCRIPT_NAME and the like \
     is believed, for it comes from the balancer's address. Set --forwarded-allow-ips '' then, or to the balancer's \
     address if it sets these headers itself";

/// gunicorn's words for what is on with `--reload`.
const RELOADER: &str = "Reloader is on. Use in development only!";

/// What `--preload` means for an app that is compiled.
const NOTHING_TO_PRELOAD: &str = "preload_app has no effect: a Rust app is not imported, workers share its code anyway, and each makes \
     the app itself after the fork";

/// Why there is no preload in development.
const NO_PRELOAD: &str = "preload_app has no effect together with reload: each worker imports the app by itself, and shows its traceback if \
     that fails";

/// What stays the same from one reload to the next: the command line, and where it was given.
#[derive(Debug)]
pub(crate) struct Configuration {
    command_line: CommandLine,
    directory: PathBuf,
    program: String,
}

impl Configuration {
    /// Parses the command line.
    pub(crate) fn new(argv: Vec<OsString>, host: &dyn Host) -> Result<Self, Stop> {
        let program = argv.first().map(PathBuf::from);
        let program =
            program.as_deref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into());
        let directory = origin::directory()
            .map_err(|error| Stop::Fault(format!("the current directory cannot be used: {error}")))?;
        let program = program.unwrap_or_else(|| "ferricorn".to_owned());
        Ok(Self { command_line: command_line::parse(argv, host.needs_app())?, directory, program })
    }

    /// Reads all sources and lays them over one another.
    pub(crate) fn layers(&self, host: &dyn Host) -> Result<Layers, Stop> {
        let layers = Layers::new().environment(environment);
        let fault = |fault: String| Stop::config_file(PROGRAM, fault);
        let mut layers = match host.told().map_err(fault)? {
            None => self.gather(layers, host)?,
            Some(told) if told.with_others => {
                self.gather(layers.file(PROGRAM, told.below), host)?.file(PROGRAM, told.above)
            }
            Some(told) => layers.file(PROGRAM, told.above),
        };
        layers = self.know_worker_class(layers, host);
        let mut hooks = layers.hooks();
        // A module may need what is not there yet: it is imported later then, and its fault told alone.
        let needs_nothing =
            ["chdir", "pythonpath", "raw_env"].iter().all(|key| layers.source(key) == "default");
        hooks.retain(|(_, name)| name.is_none() || needs_nothing);
        for (hook, fault) in host.hook_faults(&hooks) {
            layers.refuse(hook, fault);
        }
        self.check(&mut layers);
        Ok(layers)
    }

    /// Asks the host for a worker class that only it may know.
    fn know_worker_class(&self, mut layers: Layers, host: &dyn Host) -> Layers {
        let Some(name) = layers.users_own_worker_class() else { return layers };
        let chdir = layers.text("chdir").unwrap_or_default();
        let mut places = vec![self.directory.join(chdir)];
        places.extend(layers.text("pythonpath").iter().flat_map(|paths| paths.split(',')).map(PathBuf::from));
        match host.worker_class(&name, &places) {
            Ok(Some(class)) => return layers.uvicorn(&class),
            Ok(None) => {}
            Err(why) => {
                layers.refuse(
                    "worker_class",
                    format!("{why}; there are async, sync, gthread, gevent and asgi here"),
                );
            }
        }
        layers
    }

    /// Looks at what the settings cannot know by themselves.
    fn check(&self, layers: &mut Layers) {
        if let Some(format) = layers.text("access_log_format").filter(|_| layers.prints_access_lines()) {
            match access_log::check_format(&format) {
                Ok(None) => {}
                Ok(Some(doubts)) => {
                    let source = layers.source("access_log_format");
                    layers.note(LogLevel::Warning, format!("access_log_format: {doubts} (from {source})"));
                }
                Err(error) => layers.refuse("access_log_format", error.to_string()),
            }
        }
        identity::check(layers);
        if let Some(chdir) = layers.text("chdir")
            && let Err(error) = fs::metadata(self.directory.join(&chdir))
        {
            layers.refuse("chdir", format!("can't chdir to {chdir:?}: {error}"));
        }
    }

    /// Adds the config file, the variables that hold arguments, and the command line.
    fn gather(&self, layers: Layers, host: &dyn Host) -> Result<Layers, Stop> {
        let mut layers = layers.file("the file of --paste", self.of_paste());
        let mut arguments = Vec::new();
        for variable in ARGUMENTS {
            if let Some(text) = environment(variable) {
                arguments.push((variable, command_line::parse_variable(&self.program, variable, &text)?));
            }
        }
        match self.file(&arguments, host)? {
            Some((file, said, notes)) => layers = layers.file(&file.to_string(), said).noting(notes),
            None => host.forget_config(),
        }
        for (variable, values) in arguments {
            layers = layers.arguments(variable, values);
        }
        let mut layers = layers.command_line(self.command_line.values.clone());
        if let [extra, ..] = &self.command_line.extra[..] {
            let message = format!(
                "{extra:?} on the command line has no effect: one app is served, the first that is named"
            );
            layers = layers.noting(vec![Note { level: LogLevel::Warning, message }]);
        }
        Ok(layers)
    }

    /// Makes settings of the layers.
    pub(crate) fn resolve(&self, layers: &Layers, host: &dyn Host) -> Result<Resolved, Stop> {
        let facts = Facts {
            cpus: ferricorn_unix::cpus::available(),
            directory: self.directory.clone(),
            program: self.program.clone(),
        };
        let mut resolved = layers.resolve(&facts).map_err(Stop::Settings)?;
        identity::find(&mut resolved.settings)?;
        let settings = &resolved.settings;
        if let Some(paste) = settings.paste.as_ref().filter(|paste| !paste.file.exists()) {
            return Err(Stop::Fault(format!("paste: {} not found", paste.file.display())));
        }
        if settings.app.is_none() && settings.paste.is_none() && host.needs_app() {
            return Err(Stop::Fault(
                "No application module specified. Name it, as in `ferricorn mysite.wsgi:application`, or set wsgi_app \
                 in a config file."
                    .to_owned(),
            ));
        }
        if let Some(reload) = &settings.reload {
            resolved.notes.push(Note { level: LogLevel::Warning, message: RELOADER.to_owned() });
            resolved.notes.extend(extra_files(
                reload,
                &settings.chdir,
                &layers.source("reload_extra_files"),
            )?);
        }
        if settings.trust.proxy_protocol != ProxyProtocol::Off
            && layers.source("forwarded_allow_ips") == "default"
        {
            resolved.notes.push(Note { level: LogLevel::Warning, message: CLIENTS_TRUSTED.to_owned() });
        }
        let against = match (host.imports(), &settings.reload) {
            _ if !settings.preload_app => None,
            (false, _) => Some(Note { level: LogLevel::Warning, message: NOTHING_TO_PRELOAD.to_owned() }),
            (true, Some(_)) => Some(Note { level: LogLevel::Info, message: NO_PRELOAD.to_owned() }),
            (true, None) => None,
        };
        if let Some(note) = against {
            resolved.settings.preload_app = false;
            resolved.notes.push(note);
        }
        Ok(resolved)
    }

    /// What the ini file that the command line names says of the logs, as in gunicorn.
    fn of_paste(&self) -> Dict {
        let uri = self.command_line.values.get("paste").and_then(Value::as_str).unwrap_or_default();
        let file = self.directory.join(uri.split('#').next().unwrap_or_default());
        let text = match uri {
            "" => String::new(),
            _ => std::fs::read_to_string(&file).unwrap_or_default(),
        };
        match text.lines().any(|line| line.trim_end() == "[loggers]") {
            true => Dict::from([("logconfig".to_owned(), Value::from(file.display().to_string()))]),
            false => Dict::new(),
        }
    }

    /// The config file, with what it says: the one that is named, else the usual one if there is one.
    fn file(
        &self,
        arguments: &[(&str, Dict)],
        host: &dyn Host,
    ) -> Result<Option<(ConfigFile, FileValues, Vec<Note>)>, Stop> {
        let dicts = std::iter::once(("the command line", &self.command_line.values));
        let dicts = dicts.chain(arguments.iter().rev().map(|(variable, dict)| (*variable, dict)));
        // As in gunicorn, an empty name is none.
        let name =
            |dict: &'_ Dict| dict.get("config")?.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        let mut named = dicts.filter_map(|(origin, dict)| Some((origin, name(dict)?)));
        let Some((origin, name)) = named.next() else {
            return config_file::usual(&self.directory, host);
        };
        let file = config_file::named(&self.directory, &name)?;
        let Some(said) = config_file::read(&file, host)? else {
            return Err(Stop::config_file(file, "it has no table [tool.ferricorn]"));
        };
        let note = |level, what: &str, why: &str| {
            let message = format!("{what} is not read: the settings come from {file}, which {why}");
            Note { level, message }
        };
        let before = self.command_line.configs.iter().filter(|other| **other != name && !other.is_empty());
        let mut notes: Vec<Note> = before
            .map(|other| note(LogLevel::Warning, other, "is the last that the command line names"))
            .collect();
        let named = named.filter(|(_, other)| *other != name);
        notes.extend(named.map(|(variable, other)| {
            note(LogLevel::Info, &format!("{other}, of {variable},"), &format!("{origin} names"))
        }));
        let usual = config_file::unread(&self.directory, &file);
        notes.extend(usual.map(|other| note(LogLevel::Info, other, &format!("{origin} names"))));
        Ok(Some((file, said, notes)))
    }
}

/// What is to be said of the extra files of `--reload`: a file must exist, and a pattern should match something.
fn extra_files(reload: &CodeReload, directory: &Path, source: &str) -> Result<Vec<Note>, Stop> {
    let mut notes = Vec::new();
    let mut errors = Vec::new();
    for name in &reload.extra_files {
        let path = directory.join(name);
        let found = glob::glob(&path.to_string_lossy()).is_ok_and(|mut files| files.next().is_some());
        if found || path.exists() {
            continue;
        }
        if name.contains(['*', '?', '[']) {
            let message = format!("reload_extra_files: no file matches {name:?} (from {source})");
            notes.push(Note { level: LogLevel::Warning, message });
        } else {
            errors.push(SettingError {
                key: "reload_extra_files".to_owned(),
                also: Vec::new(),
                source: source.to_owned(),
                message: format!("{} does not exist", path.display()),
                hint: None,
                usage: false,
            });
        }
    }
    if errors.is_empty() { Ok(notes) } else { Err(Stop::Settings(errors)) }
}

/// Logs what was noticed about the settings.
pub(crate) fn log(notes: &[Note]) {
    for Note { level, message } in notes {
        match level {
            LogLevel::Debug => tracing::debug!("{message}"),
            LogLevel::Info => tracing::info!("{message}"),
            _ => tracing::warn!("{message}"),
        }
    }
}

/// An environment variable. One that is not UTF-8 is read as well as it can be.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
