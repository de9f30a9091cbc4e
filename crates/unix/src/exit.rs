//! The end of a process without any of the usual ceremony.

/// Ends the process now, with this exit status: no destructor, no atexit handler and no Python finalization runs.
///
/// For a worker that must leave at once while a thread of it is somewhere in the app.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(i32::from(code)) }
}

#[cfg(test)]
mod tests {
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    #[test]
    fn nothing_runs_after_it() {
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                super::exit_now(1);
            }
        }
        let end = in_child(|| {
            let _loud = Loud;
            super::exit_now(9)
        });
        assert_eq!(end, Change::Exited(9));
    }
}
