//! The layers that settings come from, laid over one another with figment.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::foreign::{Foreign, whole};
use crate::table::{self, Kind, Setting, Support};
use crate::value::{self, Typed};
use crate::{LogLevel, Note, SettingError};

/// What was said about the settings, the weightiest last. Each method lays one more layer on top.
#[derive(Clone, Debug)]
pub struct Layers {
    figment: Figment,
    notes: Vec<Note>,
    errors: Vec<SettingError>,
    /// The lines of each config file, by its name.
    lines: BTreeMap<String, BTreeMap<String, u32>>,
    script_name: String,
}

/// What a config file says.
#[derive(Clone, Debug, Default)]
pub struct FileValues {
    /// Every public name with its value. What is neither `None`, a boolean, a number, a string, a list nor a
    /// dictionary of those is given as a [`Foreign`] value.
    pub values: Dict,
    /// The line, from 1, on which a name is set; as far as that is known.
    pub lines: BTreeMap<String, u32>,
    /// Whether all names must be settings, as in a file that is nothing but settings.
    pub strict: bool,
}

impl From<Dict> for FileValues {
    fn from(values: Dict) -> Self {
        Self { values, ..Self::default() }
    }
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
        Self {
            figment: Figment::from(layer),
            notes: Vec::new(),
            errors: Vec::new(),
            lines: BTreeMap::new(),
            script_name: String::new(),
        }
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

    /// Adds what a config file says. Names of no setting are passed over, as gunicorn does, and noted; in a file that
    /// is nothing but settings they are errors.
    #[must_use]
    pub fn file(mut self, path: &str, said: impl Into<FileValues>) -> Self {
        let FileValues { values, lines, strict } = said.into();
        self.lines.insert(path.to_owned(), lines);
        let mut known = Dict::new();
        let (mut hooks, mut unknown) = (Vec::new(), Vec::new());
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
                None if strict => {
                    let hint = nearest(&name).map(|meant| format!("did you mean {meant}?"));
                    let source = self.place(path, &name);
                    self.errors.push(SettingError {
                        key: name,
                        also: Vec::new(),
                        source,
                        message: "there is no such setting".to_owned(),
                        hint,
                        usage: false,
                    });
                }
                None if is_code(&value) => {}
                None => match nearest(&name) {
                    Some(meant) => {
                        let place = self.place(path, &name);
                        let message = format!("{place}: {name} is no setting; did you mean {meant}?");
                        self.notes.push(Note { level: LogLevel::Debug, message });
                    }
                    None => unknown.push(name),
                },
            }
        }
        if !unknown.is_empty() {
            let message = format!("{path} also sets what is no setting: {}", unknown.join(", "));
            self.notes.push(Note { level: LogLevel::Debug, message });
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
        if self.lines.contains_key(origin) {
            return self.place(origin, setting.name);
        }
        match setting.long_flag() {
            Some(flag) if origin == COMMAND_LINE || origin.ends_with("_CMD_ARGS") => {
                format!("{origin}, {flag}")
            }
            _ => origin.to_owned(),
        }
    }

    /// The place in the config file where the name is set.
    fn place(&self, path: &str, name: &str) -> String {
        let line = self.lines.get(path).and_then(|lines| lines.get(name));
        line.map_or_else(|| path.to_owned(), |line| format!("{path}, line {line}"))
    }

    /// Adds what only the caller could notice.
    #[must_use]
    pub fn noting(mut self, notes: Vec<Note>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Adds one more such note.
    pub fn note(&mut self, level: LogLevel, message: String) {
        self.notes.push(Note { level, message });
    }

    /// Adds an error that only the caller can find, to be told with the others.
    pub fn refuse(&mut self, key: &str, message: String) {
        let source = self.source(key);
        let (also, hint) = (Vec::new(), None);
        self.errors.push(SettingError { key: key.to_owned(), also, source, message, hint, usage: false });
    }

    /// A setting that is a text, as the layers have it; `None` if it is not set, or no text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        let value = self.figment.find_value(key).ok()?;
        value.as_str().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The hooks that are set to something that may be one: each with its dotted name, if that is how it is given.
    #[must_use]
    pub fn hooks(&self) -> Vec<(&'static str, Option<String>)> {
        let merged = self.merged();
        let hook = |setting: &'static Setting| {
            let value = merged.get(setting.name)?;
            let is_one = value::of(setting, value).is_ok_and(|typed| typed != Typed::Unset);
            is_one.then(|| (setting.name, value.as_str().map(str::to_owned)))
        };
        let called = |setting: &&Setting| setting.kind == Kind::Function && setting.support == Support::Yes;
        table::settings().filter(called).filter_map(hook).collect()
    }

    /// The environment's `SCRIPT_NAME`.
    pub(crate) fn script_name(&self) -> &str {
        &self.script_name
    }

    /// What is known to be wrong before the values are looked at.
    pub(crate) fn errors(&self) -> &[SettingError] {
        &self.errors
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

/// Whether a file needs it for itself, and means no setting by it.
fn is_code(value: &Value) -> bool {
    matches!(Foreign::of(value), Some(Foreign::Function | Foreign::Object(_)))
}

/// The setting whose name looks like this one, or whose flag is so called.
fn nearest(name: &str) -> Option<&'static str> {
    let flag = format!("--{}", name.replace('_', "-"));
    if let Some(setting) = table::settings().find(|setting| setting.flags.contains(&flag.as_str())) {
        return Some(setting.name);
    }
    let name = name.replace('-', "_").to_lowercase();
    let far = |setting: &Setting| strsim::damerau_levenshtein(setting.name, &name);
    let near = |&(far, setting): &(usize, &Setting)| far <= if setting.name.len() > 4 { 2 } else { 1 };
    let found = table::settings().map(|setting| (far(setting), setting)).filter(near);
    found.min_by_key(|&(far, _)| far).map(|(_, setting)| setting.name)
}
