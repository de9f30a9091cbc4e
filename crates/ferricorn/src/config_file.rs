//! Which config file counts, and what it says.

use std::fs;
use std::path::Path;

use ferricorn_config::{FileValues, LogLevel, Note};

use crate::stop::Stop;
use crate::{ConfigFile, Host};

/// The files that are read if none is named: the first that there is.
const USUAL_FILES: [&str; 3] = ["ferricorn.toml", PROJECT, "gunicorn.conf.py"];

/// The file of a Python project, in which the settings are a table among others.
const PROJECT: &str = "pyproject.toml";

/// The config file that `name`, a value of `--config`, means.
pub(crate) fn named(directory: &Path, name: &str) -> Result<ConfigFile, Stop> {
    if let Some(module) = name.strip_prefix("python:") {
        return Ok(ConfigFile::Module(module.to_owned()));
    }
    let path = directory.join(name.strip_prefix("file:").unwrap_or(name));
    if !path.exists() {
        return Err(Stop::config_file(path.display(), "the file does not exist"));
    }
    Ok(if is_toml(&path) { ConfigFile::Toml(path) } else { ConfigFile::Path(path) })
}

/// The config file of a directory, if there is one, with what it says. A note tells of others that are there.
pub(crate) fn usual(
    directory: &Path,
    host: &dyn Host,
) -> Result<Option<(ConfigFile, FileValues, Vec<Note>)>, Stop> {
    let paths = USUAL_FILES.map(|name| directory.join(name));
    for path in paths.iter().filter(|path| path.exists()) {
        let file =
            if is_toml(path) { ConfigFile::Toml(path.clone()) } else { ConfigFile::Path(path.clone()) };
        let Some(said) = read(&file, host)? else { continue };
        let message = |other| format!("{other} is not read: the settings come from {file}");
        let note = |other| Note { level: LogLevel::Warning, message: message(other) };
        let notes = unread(directory, &file).map(note).collect();
        return Ok(Some((file, said, notes)));
    }
    Ok(None)
}

/// The usual files of a directory that are there, have settings, and are not the one that is read.
pub(crate) fn unread(directory: &Path, read: &ConfigFile) -> impl Iterator<Item = &'static str> {
    let has_settings = |path: &Path, name: &str| {
        let text = fs::read_to_string(path);
        // One that cannot be understood may have some.
        name != PROJECT || text.is_ok_and(|text| !matches!(FileValues::from_project(&text), Ok(None)))
    };
    let is_read = |path: &Path| match read {
        ConfigFile::Path(read) | ConfigFile::Toml(read) => {
            read.canonicalize().ok() == path.canonicalize().ok()
        }
        ConfigFile::Module(_) => false,
    };
    USUAL_FILES.into_iter().filter(move |name| {
        let path = directory.join(name);
        path.exists() && !is_read(&path) && has_settings(&path, name)
    })
}

/// What a config file says; `None` if it is a `pyproject.toml` that has nothing for this server.
pub(crate) fn read(file: &ConfigFile, host: &dyn Host) -> Result<Option<FileValues>, Stop> {
    let stop = |fault: String| Stop::config_file(file, fault);
    let ConfigFile::Toml(path) = file else {
        let read = host.read_config(file).map(Some);
        return read.map_err(|fault| Stop::ConfigFile(file.to_string(), fault));
    };
    let text = fs::read_to_string(path).map_err(|error| stop(format!("the file cannot be read: {error}")))?;
    let said = if path.file_name().is_some_and(|name| name == PROJECT) {
        FileValues::from_project(&text).map_err(stop)?
    } else {
        Some(FileValues::from_toml(&text).map_err(stop)?)
    };
    if said.is_some() {
        host.forget_config();
    }
    Ok(said)
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}
