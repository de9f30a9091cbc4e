//! Every setting takes the types that gunicorn takes for it, and no other: a value is never read as what it is not.

use std::collections::BTreeMap;

use ferricorn_config::table::{self, Kind, Preset, Setting};
use ferricorn_config::{Dict, Facts, Foreign, Layers, SettingError, Value};
use figment::value::{Empty, Tag};

/// One value of each type that a config file can hold; whole numbers are as this one.
fn samples(number: i64) -> BTreeMap<&'static str, Value> {
    let pairs: Dict = [("X-Forwarded-Proto".to_owned(), Value::from("https"))].into();
    BTreeMap::from([
        ("none", Value::Empty(Tag::Default, Empty::None)),
        ("text", "~".into()),
        ("digits", number.to_string().into()),
        ("number", number.into()),
        ("float", 1.5.into()),
        ("huge", Value::from(1_i128 << 80)),
        ("truth", true.into()),
        ("list", vec!["127.0.0.1"].into()),
        ("list of numbers", vec![1, 2].into()),
        ("list of lists", vec![vec!["a", "b"]].into()),
        ("list of objects", vec![Foreign::Object("<object>").to_value()].into()),
        ("dictionary", pairs.into()),
        ("dictionary of numbers", Value::from(Dict::from([("X-Scheme".to_owned(), 1.into())]))),
        ("object", Foreign::Object("<object object at 0x7f>").to_value()),
        ("function", Foreign::Function.to_value()),
    ])
}

/// The types that a setting takes, and what its error calls them.
fn taken(setting: &Setting) -> (Vec<&'static str>, &'static str) {
    match setting.kind {
        Kind::Text => (vec!["none", "text", "digits"], "a string"),
        Kind::OptionalText => (vec!["none", "text", "digits"], "a string"),
        Kind::Int(2.., _) => (vec!["digits", "number"], "a whole number"),
        Kind::Int(..) | Kind::IntOrAuto(..) => (vec!["digits", "number", "truth"], "a whole number"),
        Kind::Mode => (vec!["digits", "number", "truth"], "a mode"),
        Kind::Switch(_) => (vec!["none", "truth"], "true or false"),
        Kind::Bool => (vec!["truth"], "true or false"),
        Kind::Seconds(_) => (vec!["digits", "number", "float"], "a number of seconds"),
        Kind::Choice(_) => (vec!["none"], "one of"),
        Kind::OptionalChoice(..) => (vec!["none", "truth", "digits"], "one of"),
        Kind::List => (vec!["none", "text", "digits", "list"], "a string or a list of strings"),
        Kind::Commas => (vec!["none", "text", "digits", "list"], "strings, separated by commas or in a list"),
        Kind::Pairs => (vec!["dictionary"], "a dictionary of strings"),
        Kind::Function => (vec!["none", "function"], "a function, the dotted name of one, or None"),
        Kind::Class => (vec!["none", "text", "digits"], "a class, or the dotted name of one"),
        Kind::Dictionary => (vec!["none", "dictionary", "dictionary of numbers"], "a dictionary"),
        Kind::Account => (vec!["none", "text", "digits", "number"], "a name or a number"),
        // Whatever Python makes of it; what this version does not have is refused as such.
        Kind::Object => (samples(1).into_keys().collect(), ""),
    }
}

fn errors(name: &str, value: Value) -> Vec<SettingError> {
    let facts = Facts { cpus: 1, directory: "/srv".into(), program: "test".to_owned() };
    let layers = Layers::new().file("/srv/gunicorn.conf.py", Dict::from([(name.to_owned(), value)]));
    layers.resolve(&facts).err().unwrap_or_default()
}

#[test]
fn a_value_of_the_wrong_type_is_an_error_that_names_key_file_and_what_is_expected() {
    for setting in table::settings().filter(|setting| setting.name != "config") {
        let (taken, expected) = taken(setting);
        let number = match setting.default {
            Preset::Int(number) => number,
            _ => 1,
        };
        for (kind, value) in samples(number) {
            let errors = errors(setting.name, value);
            let of_type =
                |error: &&SettingError| error.key == setting.name && error.message.contains(expected);
            if taken.contains(&kind) {
                // It may be refused for what it says, but not for its type.
                let wrong = errors.iter().find(of_type).filter(|_| !expected.is_empty());
                assert_eq!(wrong, None, "{} = {kind}", setting.name);
            } else {
                let error = errors.iter().find(of_type);
                let error = error.unwrap_or_else(|| panic!("{} = {kind}: {errors:?}", setting.name));
                assert_eq!(error.source, "/srv/gunicorn.conf.py", "{} = {kind}", setting.name);
            }
        }
    }
}

#[test]
fn none_is_taken_where_it_is_the_default() {
    let none = || Value::Empty(Tag::Default, Empty::None);
    for setting in table::settings().filter(|setting| setting.default == Preset::Unset) {
        assert_eq!(errors(setting.name, none()), [], "{}", setting.name);
    }
    assert_eq!(errors("workers", none())[0].message, "None is not a whole number from 0 to 1024 or `auto`");
}

#[test]
fn an_object_is_shown_as_python_shows_it_but_not_at_any_length() {
    let object = |text: &str| errors("errorlog", Foreign::Object(text).to_value())[0].to_string();
    let text = object("<object object at 0x7f>");
    assert_eq!(text, "errorlog: <object object at 0x7f> is not a string (from /srv/gunicorn.conf.py)");
    assert!(object(&"x".repeat(10_000)).len() < 200);
}

#[test]
fn a_class_that_drives_workers_is_told_what_to_use() {
    let class = Foreign::Object("<class 'mine.Worker'>").to_value();
    let error = errors("worker_class", class)[0].to_string();
    assert!(error.contains("mine.Worker") && error.contains("use async, sync or gthread"), "{error}");
    let error = &errors("worker_class", 5.into())[0];
    assert_eq!(error.message, "5 is not a class, or the dotted name of one");
}
