//! The command line, built from the table of settings.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use ferricorn_config::compared::Compared;
use ferricorn_config::table::{self, Kind, Setting, Support};
use ferricorn_config::{Dict, Value};

use crate::stop::Stop;

/// The id of the positional argument.
const APP: &str = "APP_MODULE";

/// What stands at the top of the help text.
const ABOUT: &str = "Serves web apps from several processes: Python's, by WSGI or ASGI, with gunicorn's flags and config file.";

/// What stands at its end.
const EXAMPLES: &str = "\
Examples:
  ferricorn mysite.wsgi                      a Django site, on http://127.0.0.1:8000
  ferricorn -w 4 -b :8080 app:app            a Flask or FastAPI app, four workers, on every address
  ferricorn -b unix:/run/app.sock app:app    behind nginx
  ferricorn --check-config app:app           whether settings and app are good: 0 if they are

HUP to the master reloads, TERM stops it, TTIN and TTOU add and remove a worker.";

/// The same for a program that is its own app.
const ABOUT_ITSELF: &str = "Serves the app that it is from several processes, with gunicorn's flags.";
const SIGNALS: &str =
    "HUP to the master starts new workers, TERM stops it, TTIN and TTOU add and remove a worker.";

/// What a command line says.
#[derive(Clone, Debug)]
pub(crate) struct CommandLine {
    /// The settings.
    pub(crate) values: Dict,
    /// Further positional arguments, which have no meaning.
    pub(crate) extra: Vec<String>,
    /// Config files that are named before the last one, which alone is read.
    pub(crate) configs: Vec<String>,
}

/// Parses the command line, argv\[0\] included, into what it says of the settings. If the host needs an app, the
/// positional argument is the setting `wsgi_app`; if it is the app itself, there is none.
pub(crate) fn parse(argv: Vec<OsString>, needs_app: bool) -> Result<CommandLine, Stop> {
    let program = program(argv.first());
    let command = if needs_app { for_python(program) } else { for_itself(program) };
    let matches = matched(command, argv).map_err(|error| Stop::CommandLine(None, error))?;
    let mut values = values(&matches);
    let mut apps =
        needs_app.then(|| matches.get_many::<String>(APP)).flatten().into_iter().flatten().cloned();
    if let Some(app) = apps.next() {
        values.insert("wsgi_app".to_owned(), Value::from(app));
    }
    let mut configs: Vec<String> =
        matches.get_many::<String>("config").into_iter().flatten().cloned().collect();
    configs.pop();
    Ok(CommandLine { values, extra: apps.collect(), configs })
}

/// Parses what `GUNICORN_CMD_ARGS` or `FERRICORN_CMD_ARGS` holds. An app in it does not count, as in gunicorn.
pub(crate) fn parse_variable(program: &str, variable: &'static str, text: &str) -> Result<Dict, Stop> {
    let Some(words) = shlex::split(text) else {
        return Err(Stop::Fault(format!(
            "{variable} cannot be understood: a quote is not closed in {text:?}"
        )));
    };
    let argv = std::iter::once(variable.to_owned()).chain(words).map(OsString::from);
    let matches = matched(for_python(program.to_owned()), argv.collect());
    Ok(values(&matches.map_err(|error| Stop::CommandLine(Some(variable), error))?))
}

fn matched(mut command: Command, mut argv: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    for word in argv.iter_mut().skip(1).take_while(|word| *word != "--") {
        match word.to_str().map(unfolded) {
            Some(Ok(Some(whole))) => *word = whole.into(),
            Some(Err(fault)) => return Err(command.error(ErrorKind::UnknownArgument, fault)),
            Some(Ok(None)) | None => {}
        }
    }
    command.try_get_matches_from(argv).map_err(told)
}

/// The whole of a flag that is cut short, if it would be clear but for this server's own settings: what was so for
/// gunicorn means the same here.
///
/// # Errors
/// It could be several of one kind.
fn unfolded(word: &str) -> Result<Option<String>, String> {
    let (flag, value) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
    let all =
        || table::settings().flat_map(|setting| setting.flags.iter().map(move |known| (setting, *known)));
    if flag.len() < 3 || !flag.starts_with("--") || all().any(|(_, known)| known == flag) {
        return Ok(None);
    }
    let of_clap = ["--help", "--version"].into_iter().filter(|known| known.starts_with(flag));
    let found: Vec<_> = all().filter(|(_, known)| known.starts_with(flag)).collect();
    let clear = |found: &[(&Setting, &str)]| found.iter().all(|(setting, _)| setting.name == found[0].0.name);
    if of_clap.clone().next().is_none() {
        let theirs: Vec<_> =
            found.iter().copied().filter(|(setting, _)| setting.compared() != Compared::Own).collect();
        match (found.as_slice(), theirs.as_slice()) {
            ([], _) => return Ok(None),
            (found, _) if clear(found) => return Ok(None),
            (_, theirs @ [(_, whole), ..]) if clear(theirs) => {
                return Ok(Some(
                    value.map_or_else(|| (*whole).to_owned(), |value| format!("{whole}={value}")),
                ));
            }
            _ => {}
        }
    } else if of_clap.clone().count() + found.len() == 1 || of_clap.clone().any(|known| known == flag) {
        return Ok(None);
    }
    let names: Vec<_> = found.iter().map(|(_, known)| *known).chain(of_clap).collect();
    Err(format!("ambiguous option: {flag} could match {}", names.join(", ")))
}

/// An unknown flag is most often a mistaken one, and none of ours has a value that begins with dashes.
fn told(mut error: clap::Error) -> clap::Error {
    error.remove(ContextKind::Suggested);
    error
}

/// The command line of a server for Python's apps.
fn for_python(program: String) -> Command {
    // As in gunicorn, where whatever follows the app is passed over.
    let app = Arg::new(APP).num_args(0..).help(
        "The application: `module`, `module:attr` or `module:factory(\"x\", y=1)`. `attr` is `application` if it \
         is left out",
    );
    command()
        .override_usage(format!("{program} [OPTIONS] [APP_MODULE]"))
        .about(ABOUT)
        .after_help(EXAMPLES)
        .arg(app)
}

/// The command line of a program that is its own app.
fn for_itself(program: String) -> Command {
    command().override_usage(format!("{program} [OPTIONS]")).about(ABOUT_ITSELF).after_help(SIGNALS)
}

fn command() -> Command {
    Command::new("ferricorn")
        .version(concat!("(version ", env!("CARGO_PKG_VERSION"), ")"))
        .max_term_width(100)
        .infer_long_args(true)
        .args_override_self(true)
        .disable_version_flag(true)
        .arg(
            Arg::new("version")
                .short('v')
                .long("version")
                .action(ArgAction::Version)
                .help("Print the version"),
        )
        .args(table::settings().filter(|setting| !setting.flags.is_empty()).map(argument))
}

/// The argument of a setting. It takes any text: what the text must be is for the setting to say, so that all
/// errors come together. Settings that have no effect are understood, but not shown.
fn argument(setting: &'static Setting) -> Arg {
    let action = match setting.kind {
        Kind::Switch(_) => ArgAction::SetTrue,
        Kind::List => ArgAction::Append,
        // The last one counts, and who has named the others is told.
        _ if setting.name == "config" => ArgAction::Append,
        _ => ArgAction::Set,
    };
    let longs: Vec<&str> = setting.flags.iter().filter_map(|flag| flag.strip_prefix("--")).collect();
    let short =
        setting.flags.iter().find(|flag| !flag.starts_with("--")).and_then(|flag| flag.chars().nth(1));
    let mut argument = Arg::new(setting.name)
        .action(action)
        .help(help(setting))
        .help_heading(setting.section.title())
        .hide(setting.support != Support::Yes)
        .long(longs[0])
        .visible_aliases(longs[1..].iter().copied());
    if !matches!(setting.kind, Kind::Switch(_)) {
        argument = argument.value_name(setting.metavar).allow_negative_numbers(true);
    }
    if let Kind::OptionalChoice(_, alone) = setting.kind {
        argument = argument.num_args(0..=1).default_missing_value(alone);
    }
    match short {
        Some(short) => argument.short(short),
        None => argument,
    }
}

fn help(setting: &Setting) -> String {
    match setting.default_text() {
        Some(default) => format!("{} [default: {default}]", setting.help),
        None => setting.help.to_owned(),
    }
}

/// What the command line says, by setting.
fn values(matches: &ArgMatches) -> Dict {
    let given = |setting: &&Setting| {
        !setting.flags.is_empty() && matches.value_source(setting.name) == Some(ValueSource::CommandLine)
    };
    let value = |setting: &Setting| match setting.kind {
        Kind::Switch(meaning) => Value::from(meaning),
        Kind::List => {
            let items = matches.get_many::<String>(setting.name).into_iter().flatten();
            Value::from(items.map(String::as_str).collect::<Vec<_>>())
        }
        _ => Value::from(
            matches
                .get_many::<String>(setting.name)
                .and_then(|mut given| given.next_back())
                .map_or("", String::as_str),
        ),
    };
    table::settings().filter(given).map(|setting| (setting.name.to_owned(), value(setting))).collect()
}

/// What the program is called in its messages.
fn program(argv0: Option<&OsString>) -> String {
    let name = argv0.and_then(|argv0| Path::new(argv0).file_name()).map(|name| name.to_string_lossy());
    match name.as_deref() {
        None | Some("") => "ferricorn".to_owned(),
        Some("__main__.py") => "python -m ferricorn".to_owned(),
        Some(name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Dict {
        let argv = std::iter::once("ferricorn").chain(words.iter().copied());
        parse(argv.map(Into::into).collect(), true).unwrap().values
    }

    fn dict<const N: usize>(values: [(&str, Value); N]) -> Dict {
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn only_what_was_said_is_there() {
        assert_eq!(parsed(&[]), Dict::new());
        assert_eq!(parsed(&["mine:app"]), dict([("wsgi_app", "mine:app".into())]));
    }

    #[test]
    fn the_first_app_counts() {
        let argv = ["ferricorn", "mine:app", "-w", "2", "other:app", "more"].map(OsString::from).to_vec();
        let told = parse(argv, true).unwrap();
        assert_eq!(told.values, dict([("wsgi_app", "mine:app".into()), ("workers", "2".into())]));
        assert_eq!(told.extra, ["other:app", "more"]);
        assert!(parse(vec!["app".into(), "mine:app".into()], false).is_err());
    }

    #[test]
    fn flags_have_gunicorns_spellings() {
        let told = parsed(&[
            "-w",
            "4",
            "-k",
            "sync",
            "-t",
            "9",
            "-n",
            "name",
            "-p",
            "pid",
            "-m",
            "022",
            "-D",
            "-c",
            "conf",
            "--limit-request-field_size",
            "10",
            "--log-file",
            "-",
            "--access-logformat",
            "%(h)s",
            "mine:app",
        ]);
        let wanted = dict([
            ("workers", "4".into()),
            ("worker_class", "sync".into()),
            ("timeout", "9".into()),
            ("proc_name", "name".into()),
            ("pidfile", "pid".into()),
            ("umask", "022".into()),
            ("daemon", true.into()),
            ("config", "conf".into()),
            ("limit_request_field_size", "10".into()),
            ("errorlog", "-".into()),
            ("access_log_format", "%(h)s".into()),
            ("wsgi_app", "mine:app".into()),
        ]);
        assert_eq!(told, wanted);
    }

    #[test]
    fn lists_are_repeated_and_everything_else_is_said_last() {
        let told = parsed(&["-b", "a", "--bind=b", "-e", "A=1", "-w", "1", "-w", "2", "--no-sendfile"]);
        let wanted = dict([
            ("bind", vec!["a", "b"].into()),
            ("raw_env", vec!["A=1"].into()),
            ("workers", "2".into()),
            ("sendfile", false.into()),
        ]);
        assert_eq!(told, wanted);
        let argv = ["ferricorn", "-c", "a", "--config=b", "-cc"].map(OsString::from).to_vec();
        let told = parse(argv, true).unwrap();
        assert_eq!(
            (told.values, told.configs),
            (dict([("config", "c".into())]), vec!["a".into(), "b".into()])
        );
    }

    #[test]
    fn long_flags_may_be_shortened_while_they_are_clear() {
        assert_eq!(parsed(&["--graceful", "5"]), dict([("graceful_timeout", "5".into())]));
        assert_eq!(parsed(&["--preload"]), dict([("preload_app", true.into())]));
        let ambiguous = ["ferricorn", "--limit-request", "5"].map(OsString::from).to_vec();
        let told = parse(ambiguous, true).unwrap_err().describe();
        assert!(
            told.contains("--limit-request could match --limit-request-line, --limit-request-fields, "),
            "{told}"
        );
    }

    #[test]
    fn what_is_clear_to_gunicorn_is_not_disturbed_by_flags_of_our_own() {
        assert_eq!(parsed(&["--in"]), dict([("initgroups", true.into())]));
        assert_eq!(parsed(&["--int", "wsgi"]), dict([("interface", "wsgi".into())]));
        assert_eq!(parsed(&["--gra=5"]), dict([("graceful_timeout", "5".into())]));
    }

    #[test]
    fn a_flag_whose_value_may_be_left_out_takes_the_next_word() {
        let mode = |mode: &str| ("proxy_protocol", Value::from(mode));
        assert_eq!(parsed(&["--proxy-protocol"]), dict([mode("auto")]));
        assert_eq!(parsed(&["--proxy-protocol", "v2"]), dict([mode("v2")]));
        let both = dict([mode("auto"), ("wsgi_app", "mine:app".into())]);
        assert_eq!(parsed(&["mine:app", "--proxy-protocol"]), both);
        assert_eq!(parsed(&["--proxy-protocol", "-w", "2"]), dict([mode("auto"), ("workers", "2".into())]));
        // As in gunicorn: the setting then says that this is no mode.
        assert_eq!(parsed(&["--proxy-protocol", "mine:app"]), dict([mode("mine:app")]));
    }

    #[test]
    fn a_negative_number_is_left_to_the_setting() {
        assert_eq!(parsed(&["-w", "-1"]), dict([("workers", "-1".into())]));
    }

    #[test]
    fn a_variable_holds_words_as_a_shell_splits_them() {
        let told =
            parse_variable("ferricorn", "GUNICORN_CMD_ARGS", "--name 'two words' -w 3 other:app").unwrap();
        assert_eq!(told, dict([("proc_name", "two words".into()), ("workers", "3".into())]));
        assert!(matches!(parse_variable("ferricorn", "GUNICORN_CMD_ARGS", "'open"), Err(Stop::Fault(_))));
        let fault = parse_variable("ferricorn", "GUNICORN_CMD_ARGS", "--nope").unwrap_err();
        assert_eq!(fault.exit().0, 2);
        assert!(fault.describe().contains("GUNICORN_CMD_ARGS cannot be understood"));
        assert!(fault.describe().contains("Usage: ferricorn [OPTIONS]"));
    }

    #[test]
    fn the_program_is_called_as_it_was_called() {
        assert_eq!(program(Some(&"/usr/bin/ferricorn".into())), "ferricorn");
        assert_eq!(program(Some(&"/lib/ferricorn/__main__.py".into())), "python -m ferricorn");
        assert_eq!(program(None), "ferricorn");
    }

    #[test]
    fn the_command_is_sound() {
        for_python("ferricorn".to_owned()).debug_assert();
        for_itself("app".to_owned()).debug_assert();
    }
}
