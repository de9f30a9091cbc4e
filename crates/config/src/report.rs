//! `--print-config`: what each setting is, and where that came from.

use std::fmt::Write;

use figment::value::Value;

use crate::Layers;
use crate::compared::{Compared, UNSET};
use crate::table::{self, Kind, Setting, Support};
use crate::value;

/// Settings that differ only in their defaults, or in what is refused.
const SAME_ONCE_SET: [&str; 2] = ["keepalive", "umask"];

impl Layers {
    /// What behaves differently than with gunicorn, of its settings that are set, and of those that are not and mean
    /// something else by default: a line each. Notes tell of those that are ignored.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for setting in table::settings() {
            let (source, compared) = (self.source(setting.name), setting.compared());
            let unset = UNSET.iter().find(|(name, _)| *name == setting.name);
            match unset {
                _ if ["check_config", "print_config", "config"].contains(&setting.name) => {}
                Some((name, text)) if source == "default" => lines.push(format!("{name} is not set: {text}")),
                _ if source == "default" || !self.is_changed(setting) => {}
                _ if SAME_ONCE_SET.contains(&setting.name) => {}
                _ if matches!(compared, Compared::Better(_) | Compared::Different(_)) => {
                    let (name, verdict, text) = (setting.name, compared.verdict(), compared.text());
                    lines.push(format!("{name} ({source}) is {verdict}: {text}"));
                }
                _ => {}
            }
        }
        lines
    }

    /// Whether the setting is something else than by default.
    fn is_changed(&self, setting: &Setting) -> bool {
        let merged = self.merged();
        let typed = |value: &Value| value::of(setting, value).ok();
        merged.get(setting.name).and_then(typed) != typed(&setting.default.value())
    }

    /// One line for each setting that this version acts on, and for each other that is set, sorted by name:
    /// `name = value  # source`.
    #[must_use]
    pub fn report(&self) -> String {
        let mut settings: Vec<_> = table::settings()
            .filter(|setting| setting.support == Support::Yes || self.is_changed(setting))
            .collect();
        settings.sort_by_key(|setting| setting.name);
        let width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
        let merged = self.merged();
        let mut report = String::new();
        for setting in settings {
            let Some(value) = merged.get(setting.name) else { continue };
            let shown = match value::of(setting, value) {
                Ok(typed) if setting.kind != Kind::Function => typed.to_string(),
                _ => value::show(value),
            };
            let source = self.source_of(setting, Some(value));
            let effect = if setting.support == Support::Yes { "" } else { "; no effect" };
            // Writing to a string cannot fail.
            let _ = writeln!(report, "{:width$} = {shown}  # {source}{effect}", setting.name);
        }
        report
    }
}
