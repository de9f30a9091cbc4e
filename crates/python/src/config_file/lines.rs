//! On which line a config file sets a name, read from its syntax tree.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::PyList;

/// The line, from 1, on which each name of the module is set last.
pub(super) fn of(tree: &Bound<'_, PyAny>) -> PyResult<BTreeMap<String, u32>> {
    let mut lines = BTreeMap::new();
    block(&tree.getattr("body")?, &mut lines)?;
    Ok(lines)
}

/// What the statements of a block set, one after the other.
fn block(statements: &Bound<'_, PyAny>, lines: &mut BTreeMap<String, u32>) -> PyResult<()> {
    for statement in statements.cast::<PyList>()? {
        let line: u32 = statement.getattr("lineno")?.extract()?;
        match statement.get_type().name()?.to_str()? {
            "Assign" => {
                for target in statement.getattr("targets")?.try_iter()? {
                    names(&target?, line, lines)?;
                }
            }
            "AnnAssign" | "AugAssign" | "For" => names(&statement.getattr("target")?, line, lines)?,
            "FunctionDef" | "AsyncFunctionDef" | "ClassDef" => {
                lines.insert(statement.getattr("name")?.extract()?, line);
            }
            "Import" | "ImportFrom" => {
                for alias in statement.getattr("names")?.try_iter()? {
                    let alias = alias?;
                    let name: Option<String> = alias.getattr("asname")?.extract()?;
                    lines.insert(name.map_or_else(|| alias.getattr("name")?.extract(), Ok)?, line);
                }
            }
            _ => {}
        }
        inner(&statement, lines)?;
    }
    Ok(())
}

/// The blocks of `if`, `for`, `while`, `with`, `try` and `match`, which are not scopes of their own.
fn inner(statement: &Bound<'_, PyAny>, lines: &mut BTreeMap<String, u32>) -> PyResult<()> {
    if ["FunctionDef", "AsyncFunctionDef", "ClassDef"].contains(&statement.get_type().name()?.to_str()?) {
        return Ok(());
    }
    for part in ["body", "orelse", "finalbody"] {
        if let Some(statements) = statement.getattr_opt(part)? {
            block(&statements, lines)?;
        }
    }
    for part in ["handlers", "cases"] {
        if let Some(branches) = statement.getattr_opt(part)? {
            for branch in branches.try_iter()? {
                block(&branch?.getattr("body")?, lines)?;
            }
        }
    }
    Ok(())
}

/// The names in the target of an assignment, which may be a tuple or a list of targets.
fn names(target: &Bound<'_, PyAny>, line: u32, lines: &mut BTreeMap<String, u32>) -> PyResult<()> {
    if let Some(name) = target.getattr_opt("id")? {
        lines.insert(name.extract()?, line);
    } else if let Some(targets) = target.getattr_opt("elts")? {
        for target in targets.try_iter()? {
            names(&target?, line, lines)?;
        }
    }
    Ok(())
}
