//! The part of `docs/migrating.md` that is made from the table: gunicorn's settings one by one.

use std::fmt::Write;

use crate::compared::{Compared, UNSET};
use crate::table::{self, Section, Setting};

/// The path of the page in the repository.
pub const PATH: &str = "docs/migrating.md";

const BEGIN: &str = "<!-- settings, written by `make docs` -->\n";
const END: &str = "<!-- end of settings -->\n";

/// The page with that part as it should be; `None` if its place is not marked.
#[must_use]
pub fn page(before: &str) -> Option<String> {
    let (head, rest) = before.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}{}{END}{tail}", part()))
}

fn part() -> String {
    let mut text = String::new();
    for section in super::sections() {
        let settings: Vec<_> = gunicorns(section).collect();
        if settings.is_empty() {
            continue;
        }
        let _ = write!(text, "\n### {}\n\n| setting | flag | here | |\n|---|---|---|---|\n", section.title());
        for setting in settings {
            let flag = setting.long_flag().map_or_else(String::new, |flag| format!("`{flag}`"));
            let compared = setting.compared();
            let _ = writeln!(
                text,
                "| `{}` | {flag} | {} | {} |",
                setting.name,
                compared.verdict(),
                note(setting)
            );
        }
    }
    text.push('\n');
    text
}

fn note(setting: &Setting) -> String {
    let compared = setting.compared();
    let unset = UNSET.iter().find(|(name, _)| *name == setting.name).map(|(_, text)| *text);
    match (compared, unset) {
        (Compared::Refused(instead), _) => format!("what to do instead: {instead}"),
        (_, Some(unset)) if compared.text().is_empty() => unset.to_owned(),
        _ => compared.text().to_owned(),
    }
}

fn gunicorns(section: Section) -> impl Iterator<Item = &'static Setting> {
    table::settings().filter(move |setting| setting.section == section && setting.compared() != Compared::Own)
}
