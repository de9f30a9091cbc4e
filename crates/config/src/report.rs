//! `--print-config`: what each setting is, and where that came from.

use std::fmt::Write;

use crate::Layers;
use crate::table::{self, Kind, Support};
use crate::value;

impl Layers {
    /// One line for each setting that this version acts on, sorted by name: `name = value  # source`.
    #[must_use]
    pub fn report(&self) -> String {
        let mut settings: Vec<_> =
            table::settings().filter(|setting| setting.support == Support::Yes).collect();
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
            // Writing to a string cannot fail.
            let _ = writeln!(report, "{:width$} = {shown}  # {source}", setting.name);
        }
        report
    }
}
