//! The generated documents say what the table says.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ferricorn_config::generate::{COMMAND, documents, migrating};
use ferricorn_config::{Dict, Facts, Layers};
use figment::providers::{Format, Toml};
use figment::{Figment, Provider};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_documents_are_up_to_date() {
    for (path, text) in documents() {
        let written = fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(written == text, "{path} does not say what the table of settings says; run `{COMMAND}`");
    }
}

#[test]
fn the_page_on_migrating_compares_each_setting() {
    let written = fs::read_to_string(root().join(migrating::PATH)).unwrap();
    let wanted = migrating::page(&written).expect("the place of the settings is marked");
    assert!(
        written == wanted,
        "{} does not say what the table of settings says; run `{COMMAND}`",
        migrating::PATH
    );
    assert!(
        written.contains("| `certfile` | `--certfile` | not supported | what to do instead: let a proxy")
    );
}

#[test]
fn the_default_file_holds_the_defaults() {
    let toml = Figment::from(Toml::file(root().join("config/default.toml")));
    let values: Dict = toml.data().unwrap().into_values().next().unwrap();
    assert!(values.len() > 20);
    let facts = Facts { cpus: 1, directory: "/srv".into(), program: "test".to_owned() };
    let lines = |layers: &Layers| -> BTreeMap<String, String> {
        let report = layers.report();
        let parts = report.lines().map(|line| line.rsplit_once("  # ").unwrap().0.split_once('=').unwrap());
        parts.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
    };
    let layers = Layers::new().file("default.toml", values);
    layers.resolve(&facts).unwrap();
    assert_eq!(lines(&layers), lines(&Layers::new()));
}
