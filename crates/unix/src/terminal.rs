//! Whether somebody sits in front of this process.

use std::fs::File;

/// Whether the process has a controlling terminal. The kernel sends WINCH when such a terminal's window is resized.
#[must_use]
pub fn is_controlled() -> bool {
    // tty(4): it cannot be opened by a process without one.
    File::open("/dev/tty").is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_controlled;
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    #[test]
    fn a_session_of_its_own_has_no_terminal() {
        let end = in_child(|| {
            nix::unistd::setsid().unwrap();
            i32::from(is_controlled())
        });
        assert_eq!(end, Change::Exited(0));
    }
}
