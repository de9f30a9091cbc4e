//! A bell that all workers of a master hear: a client waits whom the one that was woken for it cannot take.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// A handle on the bell; copies, also those in other processes, are the same. Its descriptor becomes readable at each
/// ring, for edge-triggered waiting; it is never read.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Makes the bell, before the first fork.
    ///
    /// # Errors
    /// What eventfd(2) reports (`EMFILE`).
    pub fn create() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_value_and_flags(0, flags)?.into())))
    }

    /// Rings.
    pub fn ring(&self) {
        // It fails after 2^64 rings.
        let _ = nix::unistd::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl From<OwnedFd> for Bell {
    /// The bell of another master, an eventfd.
    fn from(bell: OwnedFd) -> Self {
        Self(Arc::new(bell))
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

    use super::Bell;

    #[test]
    fn every_ring_is_heard_at_every_handle() {
        let bell = Bell::create().unwrap();
        let ears: Vec<_> = (0..2)
            .map(|_| {
                let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
                epoll.add(&bell, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0)).unwrap();
                epoll
            })
            .collect();
        let heard = |epoll: &Epoll| epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO).unwrap();
        for _ in 0..3 {
            bell.clone().ring();
            assert!(ears.iter().all(|ear| heard(ear) == 1 && heard(ear) == 0));
        }
    }
}
