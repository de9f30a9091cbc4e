//! Finds the epoll instance that a library keeps to itself.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::epoll::{Epoll, EpollEvent};

/// A descriptor of the epoll instance with which `register` registers the socket that it is given. Whatever is watched
/// there, the descriptor is readable when the instance has something to tell. The socket never has; it goes once the
/// instance is found.
///
/// # Errors
/// What `register` reports, or that the instance cannot be found, which takes `/proc`.
pub fn of<T: AsFd>(register: impl FnOnce(UnixStream) -> io::Result<T>) -> io::Result<OwnedFd> {
    // An end that is closed is something to tell.
    let (probe, _other_end) = UnixStream::pair()?;
    probe.set_nonblocking(true)?;
    let probe = register(probe)?;
    // Only where it is registered can a registration be changed: the kernel compares the open file, not its number.
    let watches = |epoll: &Epoll| epoll.modify(&probe, &mut EpollEvent::empty()).is_ok();
    let found = instances()?.find(watches);
    found.map(|epoll| epoll.0).ok_or_else(|| {
        io::Error::other("the epoll instance of the event loop cannot be found in /proc/self/fd")
    })
}

/// The epoll instances of this process, each by a descriptor of our own: other threads may close theirs meanwhile, and
/// open something else under the same number.
pub(crate) fn instances() -> io::Result<impl Iterator<Item = Epoll>> {
    Ok(fs::read_dir("/proc/self/fd")?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let number: RawFd = path.file_name()?.to_str()?.parse().ok()?;
        if !is_instance(&path) {
            return None;
        }
        // SAFETY: it was open a moment ago, and is not used but to duplicate it. If it is another's by now, or nobody's,
        // the duplicate or the error says so.
        let own = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().ok()?;
        is_instance(Path::new(&format!("/proc/self/fd/{}", own.as_raw_fd()))).then_some(Epoll(own))
    }))
}

fn is_instance(descriptor: &Path) -> bool {
    fs::read_link(descriptor).is_ok_and(|link| link.as_os_str() == "anon_inode:[eventpoll]")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

    use super::of;
    use crate::poll;

    fn epoll() -> Epoll {
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap()
    }

    fn watch(epoll: &Epoll, socket: &UnixStream) {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 1)).unwrap();
    }

    /// That the instance is found, and tells what it watches afterwards.
    fn is_found(epoll: &Epoll) {
        let found = of(|probe| {
            watch(epoll, &probe);
            Ok(probe)
        });
        let found = found.unwrap();
        let tells = || poll::readable(&[found.as_fd()], Some(0)).unwrap();
        let (here, mut there) = UnixStream::pair().unwrap();
        watch(epoll, &here);
        assert_eq!(tells(), [false]);
        there.write_all(b"x").unwrap();
        assert_eq!(tells(), [true]);
    }

    #[test]
    fn the_instance_is_found_beside_others_and_tells_what_it_watches() {
        let (_before, epoll, _after) = (epoll(), epoll(), epoll());
        is_found(&epoll);
    }

    #[test]
    fn the_instance_is_found_while_other_threads_open_and_close_theirs() {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (here, _there) = UnixStream::pair().unwrap();
                    while !over.load(Ordering::Relaxed) {
                        watch(&epoll(), &here);
                    }
                });
            }
            let all =
                thread::Builder::new().spawn_scoped(scope, || (0..200).for_each(|_| is_found(&epoll())));
            let all = all.unwrap().join();
            over.store(true, Ordering::Relaxed);
            all.unwrap();
        });
    }

    #[test]
    fn where_no_instance_watches_the_socket_the_error_says_where_it_was_looked_for() {
        let _other = epoll();
        let error = of(Ok).unwrap_err().to_string();
        assert!(error.contains("/proc/self/fd"), "{error}");
    }
}
