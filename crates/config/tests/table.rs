//! The table of settings is well-formed.

use std::collections::HashSet;

use ferricorn_config::compared;
use ferricorn_config::table::{self, Kind, Preset, Reload, Support};
use ferricorn_config::{Facts, Layers};

#[test]
fn names_and_flags_are_unique() {
    let mut seen = HashSet::new();
    for setting in table::settings() {
        assert!(seen.insert(setting.name), "{} is there twice", setting.name);
        for flag in setting.flags {
            assert!(seen.insert(flag), "{flag} is there twice");
        }
    }
    for taken in ["-h", "--help", "-v", "--version"] {
        assert!(!seen.contains(taken), "{taken} is taken");
    }
}

#[test]
fn all_of_gunicorns_settings_are_known() {
    let unknown: Vec<&str> = compared::names().filter(|name| table::find(name).is_none()).collect();
    assert_eq!(unknown, [""; 0]);
    assert_eq!(compared::names().count(), 120);
}

#[test]
fn every_entry_is_complete() {
    for setting in table::settings() {
        let name = setting.name;
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name}"
        );
        assert!(setting.help.ends_with('.'), "the help of {name} is no sentence");
        for flag in setting.flags {
            let word = flag.trim_start_matches('-');
            let hyphens = flag.len() - word.len();
            assert!(if word.len() == 1 { hyphens == 1 } else { hyphens == 2 }, "{flag}");
        }
        assert!(setting.flags.is_empty() || setting.long_flag() == Some(setting.flags[0]), "{name}");
        if setting.support != Support::Yes {
            assert_eq!(setting.reload, Reload::Never, "{name}");
        }
        if let (Kind::Int(least, most) | Kind::IntOrAuto(least, most), Preset::Int(default)) =
            (setting.kind, setting.default)
        {
            assert!((least..=most).contains(&default), "{name}");
        }
    }
}

#[test]
fn the_defaults_resolve() {
    let facts = Facts { cpus: 1, directory: "/srv".into(), program: "test".to_owned() };
    let resolved = Layers::new().resolve(&facts).unwrap();
    assert_eq!(resolved.notes, []);
    assert!(!resolved.check_config);
}
