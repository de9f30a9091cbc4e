//! Resource limits.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one and returns it: each connection needs a descriptor, and
/// the usual soft limit of 1,024 is there for programs that use select(2).
///
/// # Errors
/// What getrlimit(2) and setrlimit(2) report.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// How many files this process may have open.
///
/// # Errors
/// What getrlimit(2) reports.
pub fn open_files() -> io::Result<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft).map_err(Into::into)
}

/// Whether the kernel is out of descriptors or memory, which may pass (accept(2)).
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    use crate::fork::tests::in_child;
    use crate::wait::Change;

    #[test]
    fn a_low_soft_limit_is_raised_to_the_hard_one() {
        let end = in_child(|| {
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
            setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
            assert_eq!(super::raise_open_files().unwrap(), hard);
            i32::from(super::open_files().unwrap() != hard)
        });
        assert_eq!(end, Change::Exited(0));
    }
}
