//! Exit codes of the server's processes, as gunicorn documents them.

/// The status with which a master or a worker leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// A normal end, or a configuration that was checked and found good.
    pub const OK: Self = Self(0);
    /// The operator must act: bad configuration, address in use, pidfile of a running server.
    pub const CONFIG: Self = Self(1);
    /// The command line could not be understood.
    pub const USAGE: Self = Self(2);
    /// gunicorn's `WORKER_BOOT_ERROR`: a worker failed before it was ready.
    pub const BOOT_ERROR: Self = Self(3);
    /// gunicorn's `APP_LOAD_ERROR`: the module was imported, but the application in it was not usable.
    pub const APP_LOAD_ERROR: Self = Self(4);
    /// A failure after the start that nothing else names.
    pub const FAILURE: Self = Self(255);

    /// Whether a worker that left with this code could not load its app, so that another would not either.
    #[must_use]
    pub fn is_boot_failure(self) -> bool {
        self == Self::BOOT_ERROR || self == Self::APP_LOAD_ERROR
    }
}
