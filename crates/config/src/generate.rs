//! The documents that are made from the table: `config/default.toml` and `docs/settings.md`.

pub mod migrating;

use std::fmt::Write;

use crate::table::{self, Kind, Preset, Reload, Section, Setting, Support};

/// The command that writes the documents.
pub const COMMAND: &str = "cargo run -p ferricorn-config --example generate";

/// The documents: each with its path in the repository and its text.
#[must_use]
pub fn documents() -> [(&'static str, String); 2] {
    [("config/default.toml", default_toml()), ("docs/settings.md", settings_md())]
}

/// Every setting that this version acts on, with its default, as TOML. What has no default is commented out.
fn default_toml() -> String {
    let mut text = format!("# Every setting of ferricorn with its default. Written by `{COMMAND}`.\n");
    for section in sections() {
        if supported(section).count() == 0 {
            continue;
        }
        let _ = write!(text, "\n# {}\n\n", section.title());
        for setting in supported(section) {
            match setting.default {
                Preset::Unset => drop(writeln!(text, "# {} =", setting.name)),
                preset => drop(writeln!(text, "{} = {}", setting.name, toml(preset))),
            }
        }
    }
    text
}

fn toml(preset: Preset) -> String {
    match preset {
        Preset::Unset => String::new(),
        // A literal string needs no escapes, and no default has an apostrophe.
        Preset::Text(text) if text.contains('"') => format!("'{text}'"),
        Preset::Text(text) => format!("{text:?}"),
        Preset::Int(number) => number.to_string(),
        Preset::Bool(truth) => truth.to_string(),
        Preset::List(items) => format!("{items:?}"),
        Preset::Pairs(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name:?} = {value:?}")).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

const INTRODUCTION: &str = "\
Settings come from these places; a later one wins over an earlier one:

1. the defaults below;
2. the environment: `WEB_CONCURRENCY`, `PORT`, `FORWARDED_ALLOW_IPS`, and `SCRIPT_NAME` for the prefix of a WSGI app;
3. one config file: the one that `-c` names, else the first that exists of `./ferricorn.toml`, `./pyproject.toml` with a
   table `[tool.ferricorn]`, and `./gunicorn.conf.py`;
4. `GUNICORN_CMD_ARGS`, then `FERRICORN_CMD_ARGS`, which hold flags as the command line does;
5. the command line.

Only one config file is read. Where the directory has another one of these names, or one is named before the last `-c`, a line at
the start says that it is not.

`--print-config` shows each setting's value and where it came from, with the line of the file. All errors are told at once. Where
a flag may be repeated, the command line replaces the list of the config file. In a config file, numbers and booleans may be
strings (`\"0x10\"`, `\"true\"`).

`gunicorn.conf.py`, `-c PATH` and `-c python:MODULE` are Python, which runs in the master. Names that are no setting are passed
over there; `--log-level debug` tells which, and what they may have meant.

`ferricorn.toml` and `[tool.ferricorn]` have the same settings by the same names, one a line, and no Python runs for them in the
master. A name that is no setting is an error in them. Hooks are given by their dotted names:

```toml
[tool.ferricorn]
wsgi_app = \"mysite.wsgi\"
workers = \"auto\"
bind = [\"127.0.0.1:8000\"]
post_fork = \"mysite.hooks.post_fork\"
```
";

fn settings_md() -> String {
    let mut text = format!("# Settings\n\n<!-- Written by `{COMMAND}`. -->\n\n{INTRODUCTION}");
    for section in sections() {
        if supported(section).count() == 0 {
            continue;
        }
        let _ = write!(text, "\n## {}\n", section.title());
        for setting in supported(section) {
            let _ = write!(text, "\n### `{}`\n\n{}\n\n{}\n", setting.name, facts(setting), setting.help);
        }
    }
    text.push_str("\n## Settings of gunicorn that this version does not act on\n");
    text.push_str("\nThey are understood by their names and flags.\n");
    let refused: fn(Support) -> Option<&'static str> = |support| match support {
        Support::Refused(text) => Some(text),
        _ => None,
    };
    let passed: fn(Support) -> Option<&'static str> = |support| match support {
        Support::Warned(text) | Support::Ignored(text) => Some(text),
        _ => None,
    };
    text.push_str("\nAny value but gunicorn's default is an error; remove the setting:\n\n");
    text.push_str(&table_of(("what to do instead", refused)));
    text.push_str("\nAccepted, without effect:\n\n");
    text.push_str(&table_of(("what is so instead", passed)));
    let hooks: Vec<_> = table::settings().filter(|setting| setting.support == Support::Hook).collect();
    let names: Vec<_> = hooks.iter().map(|setting| format!("`{}`", setting.name)).collect();
    let _ = write!(
        text,
        "\nThese hooks may be defined in a config file; they are not called yet, and one warning says so: {}.\n",
        names.join(", ")
    );
    text
}

fn table_of((title, text): (&str, fn(Support) -> Option<&'static str>)) -> String {
    let mut rows = format!("| setting | flag | {title} |\n|---|---|---|\n");
    for setting in table::settings() {
        if let Some(text) = text(setting.support) {
            let flag = setting.long_flag().map_or_else(String::new, |flag| format!("`{flag}`"));
            let _ = writeln!(rows, "| `{}` | {flag} | {text} |", setting.name);
        }
    }
    rows
}

/// Flags, default, variable and reload, in one line.
fn facts(setting: &Setting) -> String {
    let mut facts = Vec::new();
    let value = match setting.kind {
        Kind::Switch(_) => String::new(),
        Kind::OptionalChoice(..) => format!(" [{}]", setting.metavar),
        _ => format!(" {}", setting.metavar),
    };
    match setting.flags {
        [] => facts.push("config file only".to_owned()),
        flags => {
            facts.push(flags.iter().map(|flag| format!("`{flag}{value}`")).collect::<Vec<_>>().join(", "))
        }
    }
    if let Some(default) = setting.default_text() {
        facts.push(format!("default `{default}`"));
    }
    if let Some(variable) = setting.env {
        facts.push(format!("environment `{variable}`"));
    }
    facts.push(
        match setting.reload {
            Reload::Workers => "a reload gives it to the new workers",
            Reload::Master => "a reload applies it",
            Reload::Restart => "a change needs a restart",
            Reload::Never => "read at the start",
        }
        .to_owned(),
    );
    facts.join(" · ")
}

/// The chapters, in the order in which the table has them first.
fn sections() -> Vec<Section> {
    let mut sections = Vec::new();
    for setting in table::settings() {
        if !sections.contains(&setting.section) {
            sections.push(setting.section);
        }
    }
    sections
}

fn supported(section: Section) -> impl Iterator<Item = &'static Setting> {
    table::settings().filter(move |setting| setting.section == section && setting.support == Support::Yes)
}
