//! The table of settings: each is declared once, and all that is said of it elsewhere is derived from here.
//!
//! Derived are the command line, the names that a config file may set, `config/default.toml`,
//! `docs/settings.md` and `--print-config`. The table is split as gunicorn's documentation is.

mod debugging;
mod hooks;
mod http2;
mod logging;
mod mechanics;
mod others;
mod security;
mod socket;
mod tls;
mod workers;

use figment::value::{Empty, Tag, Value};

use crate::Foreign;

/// All settings, chapter by chapter, nearly in the order of gunicorn's documentation.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    const SETTINGS: [&[Setting]; 10] = [
        socket::SETTINGS,
        workers::SETTINGS,
        security::SETTINGS,
        debugging::SETTINGS,
        mechanics::SETTINGS,
        logging::SETTINGS,
        others::SETTINGS,
        tls::SETTINGS,
        http2::SETTINGS,
        hooks::SETTINGS,
    ];
    SETTINGS.into_iter().flatten()
}

/// The setting of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.name == name)
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in a config file: gunicorn's, where gunicorn has it.
    pub name: &'static str,
    /// The chapter that it belongs to.
    pub section: Section,
    /// Its flags with their hyphens, the usual long one first; empty if only a config file may set it.
    pub flags: &'static [&'static str],
    /// What values it takes.
    pub kind: Kind,
    /// Its value if nothing sets it.
    pub default: Preset,
    /// The environment variable that replaces its default.
    pub env: Option<&'static str>,
    /// What stands for its value in the help text.
    pub metavar: &'static str,
    /// What it does, in one paragraph.
    pub help: &'static str,
    /// What a reload (HUP) does about a change.
    pub reload: Reload,
    /// Whether this version acts on it.
    pub support: Support,
}

/// The chapters of gunicorn's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the chapters' titles")]
pub enum Section {
    ConfigFile,
    ServerSocket,
    WorkerProcesses,
    Security,
    Debugging,
    ServerMechanics,
    Logging,
    ProcessNaming,
    Ssl,
    Http2,
    ServerHooks,
    DirtyArbiters,
    Control,
}

impl Section {
    /// The chapter's title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::ConfigFile => "Config File",
            Self::ServerSocket => "Server Socket",
            Self::WorkerProcesses => "Worker Processes",
            Self::Security => "Security",
            Self::Debugging => "Debugging",
            Self::ServerMechanics => "Server Mechanics",
            Self::Logging => "Logging",
            Self::ProcessNaming => "Process Naming",
            Self::Ssl => "SSL",
            Self::Http2 => "HTTP/2",
            Self::ServerHooks => "Server Hooks",
            Self::DirtyArbiters => "Dirty Arbiters",
            Self::Control => "Control",
        }
    }
}

/// What values a setting takes. Where gunicorn does, numbers and booleans may be written as strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string, or nothing.
    OptionalText,
    /// A whole number between two bounds, both included. `0x10`, `0o20` and `0b1` are understood.
    Int(i64, i64),
    /// A whole number between two bounds, or the word `auto`.
    IntOrAuto(i64, i64),
    /// As `Int`, with a leading zero for octal, as umasks are written.
    Mode,
    /// True or false. Its flag takes no value and means the one given here.
    Switch(bool),
    /// Seconds, also a fraction of one, from 0 to this many.
    Seconds(u32),
    /// True or false, of which the flag takes the word.
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words, the first of which says no. Its flag needs no value: alone, as the boolean true does,
    /// it means the second argument.
    OptionalChoice(&'static [&'static str], &'static str),
    /// Several strings: the flag may be repeated, and a config file gives a list or one string.
    List,
    /// Several strings, separated by commas or given as a list.
    Commas,
    /// Pairs of strings.
    Pairs,
    /// A Python class, or its dotted name.
    Class,
    /// A dictionary of anything, which is for Python.
    Dictionary,
    /// Something else that only Python understands, or a text.
    Object,
    /// The name or the number of a user or a group, or nothing.
    Account,
    /// A function, which only a config file can give.
    Function,
}

impl Kind {
    /// Whether only Python understands its values.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::Class | Self::Dictionary | Self::Object | Self::Function)
    }
}

/// A default value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Nothing.
    Unset,
    /// A string.
    Text(&'static str),
    /// A whole number.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// Several strings.
    List(&'static [&'static str]),
    /// Pairs of strings.
    Pairs(&'static [(&'static str, &'static str)]),
}

impl Preset {
    /// The same as a figment value.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Unset => Value::Empty(Tag::Default, Empty::None),
            Self::Text(text) => Value::from(text),
            Self::Int(number) => Value::from(number),
            Self::Bool(truth) => Value::from(truth),
            Self::List(items) => Value::from(items.to_vec()),
            Self::Pairs(pairs) => {
                let pairs: Vec<_> =
                    pairs.iter().map(|&(name, value)| Value::from(vec![name, value])).collect();
                Foreign::Dictionary(&pairs).to_value()
            }
        }
    }
}

/// What a reload (HUP) does about a change of the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The workers that the reload starts have the new value.
    Workers,
    /// The master takes the new value at once.
    Master,
    /// Nothing: the server must be restarted.
    Restart,
    /// The question does not arise.
    Never,
}

/// Whether this version acts on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Yes,
    /// It does not, and leaving it out could do harm: any value but gunicorn's default is an error. The text
    /// says what to do instead.
    Refused(&'static str),
    /// It does not, and somebody should know. The text says what is so instead.
    Warned(&'static str),
    /// It does not, and nobody will miss it. The text says why.
    Ignored(&'static str),
    /// A hook that this version does not call.
    Hook,
}

impl Setting {
    /// A setting of a config file that this version acts on; the methods below say the rest.
    const fn new(name: &'static str, section: Section, help: &'static str) -> Self {
        Self {
            name,
            section,
            flags: &[],
            kind: Kind::OptionalText,
            default: Preset::Unset,
            env: None,
            metavar: "STRING",
            help,
            reload: Reload::Workers,
            support: Support::Yes,
        }
    }

    const fn flags(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    /// A count, 0 or more.
    const fn count(self, default: i64) -> Self {
        self.int(0, i64::MAX, default)
    }

    const fn int(self, least: i64, most: i64, default: i64) -> Self {
        Self { kind: Kind::Int(least, most), default: Preset::Int(default), metavar: "INT", ..self }
    }

    /// A boolean that is false until its flag says true.
    const fn switch(self) -> Self {
        Self { kind: Kind::Switch(true), default: Preset::Bool(false), ..self }
    }

    /// Seconds, up to a year.
    const fn seconds(self, default: i64) -> Self {
        Self { kind: Kind::Seconds(31_536_000), default: Preset::Int(default), metavar: "SECONDS", ..self }
    }

    const fn text(self, default: &'static str) -> Self {
        Self { kind: Kind::Text, default: Preset::Text(default), ..self }
    }

    const fn choice(self, words: &'static [&'static str], default: &'static str) -> Self {
        Self { kind: Kind::Choice(words), default: Preset::Text(default), ..self }
    }

    const fn list(self, default: &'static [&'static str]) -> Self {
        Self { kind: Kind::List, default: Preset::List(default), ..self }
    }

    const fn commas(self, default: &'static [&'static str]) -> Self {
        Self { kind: Kind::Commas, default: Preset::List(default), ..self }
    }

    const fn kind(self, kind: Kind, default: Preset) -> Self {
        Self { kind, default, ..self }
    }

    const fn env(self, variable: &'static str) -> Self {
        Self { env: Some(variable), ..self }
    }

    const fn metavar(self, metavar: &'static str) -> Self {
        Self { metavar, ..self }
    }

    const fn reload(self, reload: Reload) -> Self {
        Self { reload, ..self }
    }

    const fn refused(self, instead: &'static str) -> Self {
        Self { support: Support::Refused(instead), reload: Reload::Never, ..self }
    }

    const fn warned(self, instead: &'static str) -> Self {
        Self { support: Support::Warned(instead), reload: Reload::Never, ..self }
    }

    const fn ignored(self, why: &'static str) -> Self {
        Self { support: Support::Ignored(why), reload: Reload::Never, ..self }
    }

    /// The flag by which messages call the setting.
    #[must_use]
    pub fn long_flag(&self) -> Option<&'static str> {
        self.flags.iter().find(|flag| flag.starts_with("--")).copied()
    }

    /// The default as documents show it; `None` if there is none, or a false switch's.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        match self.default {
            Preset::Unset | Preset::Bool(false) => None,
            Preset::Text("") | Preset::List([]) => None,
            Preset::Text(text) => Some(text.to_owned()),
            Preset::Int(number) if self.kind == Kind::Mode && number != 0 => Some(format!("{number:#o}")),
            Preset::Int(number) => Some(number.to_string()),
            Preset::Bool(truth) => Some(truth.to_string()),
            Preset::List(items) => Some(items.join(",")),
            Preset::Pairs(pairs) => Some(
                pairs.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", "),
            ),
        }
    }
}
