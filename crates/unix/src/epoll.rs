//! Finds the epoll instance that a library keeps to itself.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// How often something is made anew because another thread has opened an instance at the same time.
const TRIES: usize = 8;

/// Makes something that opens an epoll instance, and gives a descriptor of that instance beside it. Whatever is
/// watched there, the descriptor is readable when the instance has something to tell.
///
/// # Errors
/// What `make` reports, or that the instance cannot be found, which takes `/proc`.
pub fn of<T>(mut make: impl FnMut() -> io::Result<T>) -> io::Result<(T, OwnedFd)> {
    for _ in 0..TRIES {
        let before = instances()?;
        let made = make()?;
        let new: Vec<RawFd> = instances()?.difference(&before).copied().collect();
        if let Some((&first, others)) = new.split_first() {
            // Descriptors of one instance tell the same of it.
            let about = |fd| fs::read(format!("/proc/self/fdinfo/{fd}")).ok();
            let told = about(first);
            if others.iter().all(|&other| about(other) == told) {
                // SAFETY: it was made by what `make` has given, which still has it open.
                let instance = unsafe { BorrowedFd::borrow_raw(first) };
                return Ok((made, instance.try_clone_to_owned()?));
            }
        }
    }
    Err(io::Error::other("the epoll instance of the event loop cannot be found in /proc/self/fd"))
}

/// The descriptors of this process that are epoll instances.
pub(crate) fn instances() -> io::Result<BTreeSet<RawFd>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // One that was closed in the meantime has no link.
        let is_epoll =
            fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == "anon_inode:[eventpoll]");
        found.extend(
            entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|_: &RawFd| is_epoll),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

    use super::of;
    use crate::fork::tests::in_child;
    use crate::poll;
    use crate::wait::Change;

    fn epoll() -> io::Result<Epoll> {
        Ok(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?)
    }

    #[test]
    fn the_instance_is_found_beside_others_and_tells_what_it_watches() {
        let _other = epoll().unwrap();
        let (epoll, found) = of(epoll).unwrap();
        let (here, there) = UnixStream::pair().unwrap();
        epoll.add(&here, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
        assert_eq!(poll::readable(&[found.as_fd()], Some(0)).unwrap(), [false]);
        drop(there);
        assert_eq!(poll::readable(&[found.as_fd()], Some(0)).unwrap(), [true]);
    }

    #[test]
    fn without_an_instance_the_error_says_where_it_was_looked_for() {
        // Where no other test makes one at the same time.
        let end = in_child(|| {
            let error = of(|| Ok(())).unwrap_err().to_string();
            i32::from(!error.contains("/proc/self/fd"))
        });
        assert_eq!(end, Change::Exited(0));
    }
}
