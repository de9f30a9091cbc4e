//! The layers that settings come from, laid over one another with figment.

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::foreign::{Foreign, whole};
use crate::table::{self, Kind, Setting, Support};
use crate::{LogLevel, Note};

/// What was said about the settings, the weightiest last. Each method lays one more layer on top.
#[derive(Clone, Debug)]
pub struct Layers {
    figment: Figment,
    notes: Vec<Note>,
    script_name: String,
}

impl Default for Layers {
    fn default() -> Self {
        Self::new()
    }
}

impl Layers {
    /// The defaults alone.
    #[must_use]
    pub fn new() -> Self {
        let defaults = table::settings().map(|setting| (setting.name.to_owned(), setting.default.value()));
        let layer = Layer { origin: Origin::Default.to_string(), values: defaults.collect() };
        Self { figment: Figment::from(layer), notes: Vec::new(), script_name: String::new() }
    }

    /// Adds the environment variables that replace defaults, and `SCRIPT_NAME`, which is no setting in
    /// gunicorn either. An empty variable counts as one that is not set, but for a list, which it empties: nobody
    /// is trusted then, as in gunicorn.
    #[must_use]
    pub fn environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        self.script_name = variable("SCRIPT_NAME").unwrap_or_default();
        for setting in table::settings() {
            let Some(name) = setting.env else { continue };
            let counts = |text: &String| !text.is_empty() || setting.kind == Kind::Commas;
            let Some(text) = variable(name).filter(counts) else { continue };
            let Some(value) = from_environment(setting, &text) else { continue };
            self = self.lay(Origin::Environment(name), [(setting.name.to_owned(), value)].into());
        }
        self
    }

    /// Adds what a config file left in its namespace: every public name with its value. What is neither
    /// `None`, a boolean, a number, a string, a list nor a dictionary of those is given as a [`Foreign`] value. Names of no setting are passed over, as gunicorn does; a name that is nearly a setting's
    /// is noted.
    #[must_use]
    pub fn file(mut self, path: &str, values: Dict) -> Self {
        let mut known = Dict::new();
        let mut hooks = Vec::new();
        for (name, value) in values {
            match table::find(&name) {
                Some(Setting { support: Support::Hook, .. }) if matches!(value, Value::Empty(..)) => {}
                Some(Setting { support: Support::Hook, .. }) => {
                    if Foreign::of(&value) != Some(Foreign::Function) {
                        known.insert(name.clone(), value);
                    }
                    hooks.push(name);
                }
                // A config file cannot name another one.
                Some(Setting { name: "config", .. }) => {}
                Some(_) => {
                    known.insert(name, value);
                }
                None => self.notes.extend(unknown(&name, path)),
            }
        }
        if !hooks.is_empty() {
            let message = format!(
                "{path} defines {}: accepted but not called yet in this version of ferricorn",
                hooks.join(", ")
            );
            self.notes.push(Note { level: LogLevel::Warning, message });
        }
        self.lay(Origin::File(path), known)
    }

    /// Adds what a variable such as `GUNICORN_CMD_ARGS` says, parsed as a command line.
    #[must_use]
    pub fn arguments(self, variable: &'static str, values: Dict) -> Self {
        self.lay(Origin::Arguments(variable), values)
    }

    /// Adds what the command line says.
    #[must_use]
    pub fn command_line(self, values: Dict) -> Self {
        self.lay(Origin::CommandLine, values)
    }

    fn lay(mut self, origin: Origin<'_>, values: Dict) -> Self {
        let values = values.into_iter().map(|(name, value)| (name, whole(value))).collect();
        self.figment = self.figment.merge(Layer { origin: origin.to_string(), values });
        self
    }

    /// The values that count, by setting; each knows its layer.
    pub(crate) fn merged(&self) -> Dict {
        let profiles = self.figment.data().unwrap_or_default();
        profiles.into_values().next().unwrap_or_default()
    }

    /// Where the value that counts came from, as messages say it: `the command line, --workers`,
    /// `WEB_CONCURRENCY in the environment`, the path of the config file, or `default`.
    #[must_use]
    pub fn source(&self, key: &str) -> String {
        let value = self.figment.find_value(key).ok();
        table::find(key).map_or_else(String::new, |setting| self.source_of(setting, value.as_ref()))
    }

    /// The same for a value out of [`merged`](Self::merged).
    pub(crate) fn source_of(&self, setting: &Setting, value: Option<&Value>) -> String {
        let metadata = value.and_then(|value| self.figment.get_metadata(value.tag()));
        let origin = metadata.map_or("default", |metadata| &metadata.name);
        match setting.long_flag() {
            Some(flag) if origin == COMMAND_LINE || origin.ends_with("_CMD_ARGS") => {
                format!("{origin}, {flag}")
            }
            _ => origin.to_owned(),
        }
    }

    /// The environment's `SCRIPT_NAME`.
    pub(crate) fn script_name(&self) -> &str {
        &self.script_name
    }

    /// What was noticed while the layers were laid.
    pub(crate) fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// Where a layer came from, as messages name it.
enum Origin<'a> {
    Default,
    Environment(&'a str),
    File(&'a str),
    Arguments(&'a str),
    CommandLine,
}

/// The origin of the command line's values.
pub(crate) const COMMAND_LINE: &str = "the command line";

impl std::fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(variable) => write!(f, "{variable} in the environment"),
            Self::File(path) => f.write_str(path),
            Self::Arguments(variable) => f.write_str(variable),
            Self::CommandLine => f.write_str(COMMAND_LINE),
        }
    }
}

/// One layer, as figment takes it.
struct Layer {
    origin: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok([(Profile::Default, self.values.clone())].into())
    }
}

/// What an environment variable says about its setting; `None` if nothing.
fn from_environment(setting: &Setting, text: &str) -> Option<Value> {
    match (setting.name, setting.kind) {
        ("bind", _) => Some(Value::from(vec![format!("0.0.0.0:{text}")])),
        // gunicorn's `SENDFILE` knows yes in several spellings, and everything else is no.
        (_, Kind::Switch(_)) => Some(Value::from(matches!(text, "y" | "1" | "yes" | "true"))),
        _ => Some(Value::from(text)),
    }
}

/// A note about a name that is no setting's, if it looks like a setting that was misspelt.
fn unknown(name: &str, path: &str) -> Option<Note> {
    let near = |setting: &&Setting| strsim::damerau_levenshtein(setting.name, name) <= 2;
    let meant = table::settings().filter(|setting| setting.name.len() > 4).find(near)?;
    let message = format!("{path} sets {name}, which is no setting; did you mean {}?", meant.name);
    Some(Note { level: LogLevel::Debug, message })
}
