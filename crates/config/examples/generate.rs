//! Writes the documents that are made from the table of settings.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, text) in ferricorn_config::generate::documents() {
        std::fs::write(root.join(path), text)?;
    }
    Ok(())
}
