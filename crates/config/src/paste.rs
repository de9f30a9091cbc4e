//! An app that an ini file describes, as PasteDeploy reads it.

use std::path::{Path, PathBuf};

use crate::parse::Fault;
use crate::reader::Reader;

/// Where such an app is described (`paste`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paste {
    /// The ini file, absolute.
    pub file: PathBuf,
    /// The section `[app:NAME]`; `None` for `main`.
    pub section: Option<String>,
    /// What is laid over its `[DEFAULT]` (`raw_paste_global_conf`).
    pub globals: Vec<(String, String)>,
}

/// What the settings say of it; `directory` is where the server was started.
pub(crate) fn paste(read: &mut Reader<'_>, directory: &Path) -> Option<Paste> {
    let globals = read.each("raw_paste_global_conf", global);
    let text = read.optional("paste")?;
    let (file, section) = match text.split_once('#') {
        Some((file, section)) => (file, Some(section.to_owned()).filter(|section| !section.is_empty())),
        None => (text.as_str(), None),
    };
    Some(Paste { file: directory.join(file), section, globals })
}

/// `name=value`, in which `\=` stands for an equals sign of the name.
fn global(text: &str) -> Result<(String, String), Fault> {
    let at = text.match_indices('=').map(|(at, _)| at).find(|&at| !text[..at].ends_with('\\'));
    let Some(at) = at else { return Err(Fault::new("a pair, NAME=VALUE")) };
    let plain = |text: &str| text.replace("\\=", "=");
    Ok((plain(&text[..at]), plain(&text[at + 1..])))
}

#[cfg(test)]
mod tests {
    use super::global;

    #[test]
    fn globals_are_pairs() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(global("a=b"), pair("a", "b"));
        assert_eq!(global("a=b=c"), pair("a", "b=c"));
        assert_eq!(global(r"a\=b=c"), pair("a=b", "c"));
        assert!(global("a").is_err());
    }
}
