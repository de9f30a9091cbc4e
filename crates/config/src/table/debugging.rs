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
    Setting::new(
        "reload",
        Debugging,
        "For development: watch the files of the app's code, and reload when one changes, as HUP does. An app that cannot \
         be loaded shows its traceback to each client, status 500, until a file is mended.",
    )
    .flags(&["--reload"])
    .switch(),
    Setting::new(
        "reload_engine",
        Debugging,
        "How `reload` watches files: `inotify`, `poll` (looks at each of them twice a second, which also works on network and \
         container file systems), or `auto`, which is inotify where the kernel allows it.",
    )
    .flags(&["--reload-engine"])
    .choice(&["auto", "poll", "inotify"], "auto"),
    Setting::new(
        "reload_extra_files",
        Debugging,
        "Files that `reload` watches beside the code, or patterns such as `templates/**/*.html`, relative to `chdir`. A file \
         that does not exist is an error. The flag may be repeated.",
    )
    .flags(&["--reload-extra-file"])
    .list(&[])
    .metavar("FILE"),
    Setting::new("spew", Debugging, "Trace every line that Python runs.")
        .flags(&["--spew"])
        .switch()
        .warned("use Python's own `trace` module"),
];
