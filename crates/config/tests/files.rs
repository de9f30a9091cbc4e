//! What a config file says, in Python or TOML: where each value was set, and names that are no settings.

use ferricorn_config::{Facts, FileValues, Foreign, Layers, LogLevel, SettingError};

fn facts() -> Facts {
    Facts { cpus: 1, directory: "/srv".into(), program: "test".to_owned() }
}

fn errors(layers: &Layers) -> Vec<String> {
    let errors = layers.resolve(&facts()).expect_err("bad settings");
    errors.iter().map(SettingError::to_string).collect()
}

const TOML: &str = r#"# A comment.
workers = 4
bind = [
    "127.0.0.1:8001",
    "unix:/run/app.sock",
]
preload = true
timeout = 2.5

secure_scheme_headers = { X-Scheme = "https" }
logconfig_dict.version = 1
post_fork = "mine.hooks.post_fork"
tiemout = 3
"#;

#[test]
fn toml_says_values_and_lines() {
    let said = FileValues::from_toml(TOML).unwrap();
    let line = |name: &str| said.lines[name];
    assert_eq!((line("workers"), line("bind"), line("timeout"), line("tiemout")), (2, 3, 8, 13));
    let layers = Layers::new().file("/srv/ferricorn.toml", said);
    assert_eq!(layers.source("workers"), "/srv/ferricorn.toml, line 2");
    assert_eq!(layers.source("threads"), "default");
    assert_eq!(
        errors(&layers),
        [
            "preload: there is no such setting (from /srv/ferricorn.toml, line 7); did you mean preload_app?",
            "tiemout: there is no such setting (from /srv/ferricorn.toml, line 13); did you mean timeout?",
            "timeout: 2.5 is not a whole number from 0 to 31536000 (from /srv/ferricorn.toml, line 8)",
        ]
    );
}

#[test]
fn good_toml_is_as_good_as_python() {
    let good: String = TOML
        .lines()
        .filter(|line| !line.contains("ti") && !line.contains("preload"))
        .fold(String::new(), |text, line| text + line + "\n");
    let layers = Layers::new().file("f.toml", FileValues::from_toml(&good).unwrap());
    let resolved = layers.resolve(&facts()).unwrap();
    assert_eq!((resolved.settings.workers, resolved.settings.bind.len()), (4, 2));
    assert_eq!(resolved.settings.hooks, ["post_fork"]);
    assert!(resolved.settings.logs.python);
    assert_eq!(
        resolved.values["logconfig_dict"].find_ref("version").and_then(|version| version.to_i128()),
        Some(1)
    );
}

#[test]
fn a_project_may_have_settings_or_not() {
    let project = |text: &str| FileValues::from_project(text);
    let said = project("[project]\nname = \"x\"\n\n[tool.ferricorn]\nworkers = 3\n").unwrap().unwrap();
    assert_eq!(said.lines["workers"], 5);
    assert!(project("[tool.black]\nline-length = 100\n").unwrap().is_none());
    assert!(project("").unwrap().is_none());
    let fault = project("[tool.ferricorn\n").unwrap_err();
    assert!(fault.contains("line 1"), "{fault}");
    assert!(FileValues::from_toml("workers = ").unwrap_err().contains("line 1"));
}

#[test]
fn python_may_set_whatever_it_needs_and_near_misses_are_told() {
    let values = [
        ("cores", 4.into()),
        ("max_request", 5.into()),
        ("helper", Foreign::Function.to_value()),
        ("name", "shop".into()),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value)).into();
    let lines = [("max_request".to_owned(), 7)].into();
    let layers = Layers::new().file("conf.py", FileValues { values, lines, strict: false });
    let notes = layers.resolve(&facts()).unwrap().notes;
    assert!(notes.iter().all(|note| note.level == LogLevel::Debug), "{notes:?}");
    let told: Vec<_> = notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "conf.py, line 7: max_request is no setting; did you mean max_requests?",
            "conf.py: name is no setting; did you mean proc_name?",
            "conf.py also sets what is no setting: cores",
        ]
    );
}
