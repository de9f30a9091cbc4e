//! What a reload cannot change.

use crate::resolve::Resolved;
use crate::table::{self, Kind, Reload, Setting};
use crate::value;
use crate::{LogLevel, Note, Value};

impl Resolved {
    /// Settings that say something else than those with which the server was started, and count only after a restart.
    #[must_use]
    pub fn unchangeable(&self, started_with: &Self) -> Vec<Note> {
        let is_fixed =
            |setting: &&Setting| setting.reload == Reload::Restart && setting.kind != Kind::Function;
        let note = |setting: &Setting| {
            let text = |value: &Value| match value.to_i128() {
                Some(number) if setting.kind == Kind::Mode => format!("{number:#o}"),
                _ => value::show(value),
            };
            let show = |resolved: &Self| resolved.values.get(setting.name).map(text).unwrap_or_default();
            let (before, now) = (show(started_with), show(self));
            (before != now).then(|| Note {
                level: LogLevel::Warning,
                message: format!(
                    "{} is {now} now; that needs a restart, and a reload leaves it at {before}",
                    setting.name
                ),
            })
        };
        table::settings().filter(is_fixed).filter_map(note).collect()
    }
}
