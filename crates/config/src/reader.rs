//! Reads settings by name, each with the type that its kind demands, and gathers what is wrong with them.

use std::collections::HashMap;
use std::time::Duration;

use figment::value::Dict;

use crate::layers::COMMAND_LINE;
use crate::parse::Fault;
use crate::resolve::NOT_YET;
use crate::table::{self, Kind, Setting, Support};
use crate::value::{self, Typed, Wrong};
use crate::{Layers, LogLevel, Note, SettingError};

/// Reads settings by name. What cannot be read is noted as an error and replaced by the default, so that
/// reading goes on.
pub(crate) struct Reader<'a> {
    values: HashMap<&'static str, Typed>,
    pub(crate) errors: Vec<SettingError>,
    pub(crate) notes: Vec<Note>,
    pub(crate) layers: &'a Layers,
}

impl<'a> Reader<'a> {
    /// Gives every setting of the table its type, and tells of those that this version does not act on.
    pub(crate) fn new(layers: &'a Layers) -> Self {
        let mut reader = Self {
            values: HashMap::new(),
            errors: layers.errors().to_vec(),
            notes: layers.notes().to_vec(),
            layers,
        };
        let merged = layers.merged();
        for setting in table::settings() {
            let default = value::typed(setting.kind, &setting.default.value());
            let default = default.expect("the table's defaults are of their settings' kinds");
            let typed = merged.get(setting.name).map_or(Ok(default.clone()), |given| {
                value::of(setting, given).map_err(|wrong| (value::show(given), wrong))
            });
            let typed = typed.unwrap_or_else(|(shown, wrong)| {
                reader.wrong(setting, shown, wrong);
                default.clone()
            });
            if typed != default {
                reader.unsupported(setting, &typed);
            }
            reader.values.insert(setting.name, typed);
        }
        reader
    }

    fn unsupported(&mut self, setting: &'static Setting, typed: &Typed) {
        let name = setting.name;
        // `None`, false and the empty string say "no" where the default says nothing.
        let nothing =
            matches!(typed, Typed::Unset | Typed::Bool(false)) || *typed == Typed::Text(String::new());
        let note = match setting.support {
            Support::Refused(_) if nothing || same_in_gunicorn(setting, typed) => return,
            Support::Refused(instead) => return self.refuse_support(name, instead),
            Support::Warned(_) if nothing => return,
            Support::Warned(instead) => (LogLevel::Warning, instead),
            Support::Ignored(why) => (LogLevel::Debug, why),
            Support::Yes | Support::Hook => return,
        };
        let message = format!("{name} has no effect: {} (from {})", note.1, self.layers.source(name));
        self.notes.push(Note { level: note.0, message });
    }

    /// What belongs together, as the settings of TLS do, is refused together.
    fn refuse_support(&mut self, name: &'static str, instead: &str) {
        let source = self.layers.source(name);
        let all = format!("remove them: {instead}");
        for error in &mut self.errors {
            if error.message == NOT_YET && error.hint.as_ref().is_some_and(|hint| hint.ends_with(instead)) {
                error.also.push(name);
                error.hint = Some(all);
                if !error.source.split(" and ").any(|told| told == source) {
                    error.source = format!("{} and {source}", error.source);
                }
                return;
            }
        }
        self.refuse(name, NOT_YET, Some(&format!("remove it: {instead}")));
    }

    /// All settings, as they were read.
    pub(crate) fn values(&self) -> Dict {
        self.values.iter().map(|(name, typed)| ((*name).to_owned(), typed.value())).collect()
    }

    /// The hooks that are set and called.
    pub(crate) fn hooks(&self) -> Vec<&'static str> {
        let called = |setting: &&Setting| setting.kind == Kind::Function && setting.support == Support::Yes;
        let set = |setting: &&Setting| self.typed(setting.name) != Typed::Unset;
        table::settings().filter(called).filter(set).map(|setting| setting.name).collect()
    }

    pub(crate) fn typed(&self, key: &str) -> Typed {
        self.values.get(key).cloned().unwrap_or(Typed::Unset)
    }

    pub(crate) fn text(&self, key: &str) -> String {
        self.optional(key).unwrap_or_default()
    }

    /// The empty string counts as nothing.
    pub(crate) fn optional(&self, key: &str) -> Option<String> {
        match self.typed(key) {
            Typed::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&self, key: &str) -> u64 {
        match self.typed(key) {
            Typed::Int(number) => u64::try_from(number).unwrap_or(0),
            _ => 0,
        }
    }

    pub(crate) fn seconds(&self, key: &str) -> Duration {
        match self.typed(key) {
            Typed::Seconds(time) => time,
            _ => Duration::from_secs(self.int(key)),
        }
    }

    /// A time of which zero means never.
    pub(crate) fn limit(&self, key: &str) -> Option<Duration> {
        Some(self.seconds(key)).filter(|time| !time.is_zero())
    }

    pub(crate) fn switch(&self, key: &str) -> bool {
        self.typed(key) == Typed::Bool(true)
    }

    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        match self.typed(key) {
            Typed::List(items) => items,
            _ => Vec::new(),
        }
    }

    pub(crate) fn pairs(&self, key: &str) -> Vec<(String, String)> {
        match self.typed(key) {
            Typed::Pairs(items) => items,
            _ => Vec::new(),
        }
    }

    /// Parses each item of a list and keeps the good ones.
    pub(crate) fn each<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, Fault>) -> Vec<T> {
        let mut good = Vec::new();
        for item in self.list(key) {
            match parse(&item) {
                Ok(value) => good.push(value),
                Err(fault) => self.fault(key, &item, fault),
            }
        }
        good
    }

    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        text: &str,
        result: Result<T, Fault>,
        fallback: T,
    ) -> T {
        result.unwrap_or_else(|fault| {
            self.fault(key, text, fault);
            fallback
        })
    }

    /// What the caller has found wrong already is not told once more.
    pub(crate) fn fault(&mut self, key: &'static str, text: &str, fault: Fault) {
        if self.layers.errors().iter().any(|error| error.key == key) {
            return;
        }
        self.refuse(key, &format!("{text:?} is not {}", fault.expected), fault.hint.as_deref());
    }

    pub(crate) fn refuse(&mut self, key: &'static str, message: &str, hint: Option<&str>) {
        let source = self.layers.source(key);
        let hint = hint.map(str::to_owned);
        let message = message.to_owned();
        self.errors.push(SettingError {
            key: key.to_owned(),
            also: Vec::new(),
            source,
            message,
            hint,
            usage: false,
        });
    }

    /// Whether nothing set it.
    pub(crate) fn is_default(&self, key: &str) -> bool {
        self.layers.source(key) == "default"
    }

    fn wrong(&mut self, setting: &'static Setting, shown: String, wrong: Wrong) {
        let source = self.layers.source(setting.name);
        let usage = wrong.malformed && source.starts_with(COMMAND_LINE);
        let message = format!("{shown} is not {}", wrong.expected);
        let hint = match (setting.kind, setting.long_flag()) {
            (Kind::OptionalChoice(_, alone), Some(flag)) if source.starts_with(COMMAND_LINE) => {
                Some(format!("write {flag}={alone} if something else is to follow the flag"))
            }
            _ => None,
        };
        self.errors.push(SettingError {
            key: setting.name.to_owned(),
            also: Vec::new(),
            source,
            message,
            hint,
            usage,
        });
    }
}

/// Other spellings of gunicorn's default.
fn same_in_gunicorn(setting: &Setting, typed: &Typed) -> bool {
    match typed {
        Typed::Text(text) if setting.name == "protocol" => text != "uwsgi",
        Typed::List(items) if setting.name == "http_protocols" => items.is_empty(),
        _ => false,
    }
}
