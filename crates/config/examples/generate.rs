//! Writes the documents that are made from the table of settings.

use std::path::Path;

use ferricorn_config::generate::{documents, migrating};

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, text) in documents() {
        std::fs::write(root.join(path), text)?;
    }
    let page = root.join(migrating::PATH);
    if let Some(text) = migrating::page(&std::fs::read_to_string(&page)?) {
        std::fs::write(page, text)?;
    }
    Ok(())
}
