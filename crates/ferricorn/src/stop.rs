//! Why the program stops before it serves: what to say, and the exit code that goes with it.

use ferricorn_config::SettingError;
use ferricorn_protocol::{AppFault, ExitCode, LoadError};

use crate::messages;

/// A reason not to go on. Each is something that the operator can act on, or has asked for.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command line asked for help or the version, or could not be understood; where it came from, if not
    /// from the command line itself.
    CommandLine(Option<&'static str>, clap::Error),
    /// The config file could not be run: its name, and what is wrong.
    ConfigFile(String, AppFault),
    /// Settings are wrong.
    Settings(Vec<SettingError>),
    /// The app cannot be loaded.
    App(LoadError),
    /// Anything else that must be put right first, in one line.
    Fault(String),
}

impl Stop {
    /// What is wrong with a config file, if it is none of Python's exceptions.
    pub(crate) fn config_file(name: impl ToString, message: impl Into<String>) -> Self {
        Self::ConfigFile(name.to_string(), AppFault::new(message))
    }

    /// Tells the operator.
    pub(crate) fn tell(&self) {
        match self {
            Self::CommandLine(None, error) => messages::usage(error),
            Self::CommandLine(Some(variable), error) => {
                messages::complain(format_args!(
                    "Error: {variable} cannot be understood.\n{}",
                    error.render()
                ));
            }
            Self::ConfigFile(name, fault) => {
                messages::complain(format_args!(
                    "Error: Failed to read config file: {name}\n{}",
                    details(fault)
                ));
            }
            Self::Settings(errors) => match errors.as_slice() {
                [error] => messages::complain(format_args!("Error: {error}")),
                errors => {
                    messages::complain(format_args!("Error: {} settings are wrong:", errors.len()));
                    errors.iter().for_each(|error| messages::complain(format_args!("  {error}")));
                }
            },
            Self::App(error) => {
                if let Some(traceback) = &error.traceback {
                    messages::complain(traceback.trim_end());
                }
                messages::complain(format_args!("Error: {}", error.message));
            }
            Self::Fault(fault) => messages::complain(format_args!("Error: {fault}")),
        }
    }

    /// The exit code, as gunicorn has it.
    pub(crate) fn exit(&self) -> ExitCode {
        match self {
            Self::CommandLine(_, error) => {
                if error.use_stderr() {
                    ExitCode::USAGE
                } else {
                    ExitCode::OK
                }
            }
            Self::Settings(errors) if errors.iter().any(|error| error.usage) => ExitCode::USAGE,
            Self::ConfigFile(_, AppFault { exit: Some(status), .. }) => ExitCode(*status),
            Self::ConfigFile(..) | Self::Settings(_) | Self::App(_) | Self::Fault(_) => ExitCode::CONFIG,
        }
    }

    /// The same in one piece of text, for a server that goes on with the settings that it has.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::CommandLine(variable, error) => {
                format!("{} cannot be understood: {}", variable.unwrap_or("the command line"), error.render())
            }
            Self::ConfigFile(name, fault) => {
                format!("failed to read config file: {name}\n{}", details(fault))
            }
            Self::Settings(errors) => {
                let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
                lines.join("\n")
            }
            Self::App(error) => error.message.clone(),
            Self::Fault(fault) => fault.clone(),
        }
    }
}

/// What is wrong with a config file. Who ends the process means it, and needs no traceback.
fn details(fault: &AppFault) -> String {
    match fault.exit {
        Some(_) => format!("It ends the process: {}", fault.message),
        None => fault.details().to_owned(),
    }
}
