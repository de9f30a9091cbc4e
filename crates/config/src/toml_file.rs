//! Config files in TOML: `ferricorn.toml`, and the table `[tool.ferricorn]` of a `pyproject.toml`.

use std::collections::BTreeMap;

use figment::value::Dict;
use toml_edit::{ImDocument, TableLike};

use crate::FileValues;

impl FileValues {
    /// Reads a file that is nothing but settings.
    ///
    /// # Errors
    /// What is wrong with its syntax, and where.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let document = parse(text)?;
        Ok(Self { values: values(text)?, lines: lines(text, document.as_table()), strict: true })
    }

    /// Reads the table `[tool.ferricorn]` of a `pyproject.toml`; `None` if there is none.
    ///
    /// # Errors
    /// What is wrong with its syntax, and where.
    pub fn from_project(text: &str) -> Result<Option<Self>, String> {
        let document = parse(text)?;
        let tools = document.get("tool").and_then(|tools| tools.as_table_like());
        let Some(table) = tools.and_then(|tools| tools.get(TOOL)?.as_table_like()) else { return Ok(None) };
        let values =
            values(text)?.remove("tool").and_then(|tools| tools.into_dict()?.remove(TOOL)?.into_dict());
        Ok(Some(Self { values: values.unwrap_or_default(), lines: lines(text, table), strict: true }))
    }
}

/// The name of the table in a `pyproject.toml`.
const TOOL: &str = "ferricorn";

fn parse(text: &str) -> Result<ImDocument<&str>, String> {
    ImDocument::parse(text).map_err(|error| error.to_string().trim_end().to_owned())
}

fn values(text: &str) -> Result<Dict, String> {
    toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
}

/// The line, from 1, of each key.
fn lines(text: &str, table: &dyn TableLike) -> BTreeMap<String, u32> {
    let line = |start: usize| {
        let before = text.bytes().take(start);
        u32::try_from(before.filter(|&byte| byte == b'\n').count() + 1).unwrap_or(u32::MAX)
    };
    let place = |name: &str| Some((name.to_owned(), line(table.key(name)?.span()?.start)));
    table.iter().filter_map(|(name, _)| place(name)).collect()
}
