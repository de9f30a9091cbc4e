//! Settings of the chapters "Process Naming", "Dirty Arbiters" and "Control".

use super::Section::{Control, DirtyArbiters, ProcessNaming};
use super::{Kind, Preset, Setting};

const NO_DIRTY: &str = "there are no dirty workers";
const NO_CONTROL: &str = "there is no control socket; use signals";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("proc_name", ProcessNaming, "The name in the process title; the app's if it is not set.")
        .flags(&["--name", "-n"]),
    Setting::new("default_proc_name", ProcessNaming, "gunicorn's internal default of `proc_name`.")
        .text("gunicorn")
        .ignored("it is internal to gunicorn; use `proc_name`"),
    Setting::new("dirty_apps", DirtyArbiters, "Apps of gunicorn's dirty workers.")
        .flags(&["--dirty-app"])
        .list(&[])
        .warned(NO_DIRTY),
    Setting::new("dirty_workers", DirtyArbiters, "Number of dirty workers.")
        .flags(&["--dirty-workers"])
        .count(0)
        .warned(NO_DIRTY),
    Setting::new("dirty_timeout", DirtyArbiters, "Seconds that a dirty task may take.")
        .flags(&["--dirty-timeout"])
        .count(300)
        .ignored(NO_DIRTY),
    Setting::new("dirty_threads", DirtyArbiters, "Threads per dirty worker.")
        .flags(&["--dirty-threads"])
        .count(1)
        .ignored(NO_DIRTY),
    Setting::new("dirty_graceful_timeout", DirtyArbiters, "Seconds that dirty workers have to stop.")
        .flags(&["--dirty-graceful-timeout"])
        .count(30)
        .ignored(NO_DIRTY),
    Setting::new("control_socket", Control, "The path of gunicorn's control socket.")
        .flags(&["--control-socket"])
        .warned(NO_CONTROL),
    Setting::new("control_socket_mode", Control, "The mode of the control socket.")
        .flags(&["--control-socket-mode"])
        .kind(Kind::Mode, Preset::Int(0o600))
        .ignored(NO_CONTROL),
    Setting::new("control_socket_disable", Control, "No control socket.")
        .flags(&["--no-control-socket"])
        .switch()
        .ignored(NO_CONTROL),
];
