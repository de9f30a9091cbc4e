//! Settings of the chapter "Debugging".

use super::Section::Debugging;
use super::{Reload, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "check_config",
        Debugging,
        "Load the configuration and the app, and exit: with 0 if both are good, else with 1.",
    )
    .flags(&["--check-config"])
    .switch()
    .reload(Reload::Never),
    Setting::new(
        "print_config",
        Debugging,
        "Print each setting's value and where it came from, then do what `--check-config` does.",
    )
    .flags(&["--print-config"])
    .switch()
    .reload(Reload::Never),
    Setting::new("reload", Debugging, "Restart workers when code changes.")
        .flags(&["--reload"])
        .switch()
        .refused("send HUP to the master after a change, or use the framework's own development server"),
    Setting::new("reload_engine", Debugging, "How `reload` watches files.")
        .flags(&["--reload-engine"])
        .choice(&["auto", "poll", "inotify"], "auto")
        .ignored("it has a meaning only with `reload`"),
    Setting::new("reload_extra_files", Debugging, "Further files for `reload`.")
        .flags(&["--reload-extra-file"])
        .list(&[])
        .ignored("it has a meaning only with `reload`"),
    Setting::new("spew", Debugging, "Trace every line that Python runs.")
        .flags(&["--spew"])
        .switch()
        .refused("use Python's own `trace` module"),
];
