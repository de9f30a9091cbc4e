//! How the epoll instance of an event loop watches one descriptor: whom the kernel wakes first, or not at all.
//!
//! Each worker's loop watches the same listeners, and the kernel tells all of them of each client. With
//! `EPOLLEXCLUSIVE` it tells one that sleeps in epoll_wait(2): the first in the row in which they began to watch, and
//! before it whoever watches without that flag. A runtime has no words for this, so its registration is made again by
//! hand, with the same event data, which `/proc/self/fdinfo` tells (proc(5)). The runtime does not see a difference.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::stat::fstat;

use crate::epoll::instances;

/// Something that an event loop watches, for reading.
#[derive(Debug)]
pub struct Watch<T> {
    watched: T,
    /// None if it cannot be found. Then the loop watches as it always did.
    registration: Option<Registration>,
}

#[derive(Debug)]
struct Registration {
    epoll: Epoll,
    data: u64,
}

/// How a descriptor is watched among others that watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is told of each event, before anybody in the row.
    Ahead,
    /// It stands in the row, as the last one, and is told if nobody sleeps who stands before it.
    Last,
}

impl<T: AsFd> Watch<T> {
    /// Takes over what an event loop has registered, edge-triggered, and that keeps its registration as long as it
    /// lives. Everything stays as it is until [`Watch::begin`].
    pub fn of(watched: T) -> Self {
        let registration = find(watched.as_fd()).ok().flatten();
        Self { watched, registration }
    }

    /// What is watched.
    pub fn get(&self) -> &T {
        &self.watched
    }

    /// Gives it back, as one that is watched or not.
    pub fn into_inner(self) -> T {
        self.watched
    }

    /// Whether anything can be changed.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.registration.is_some()
    }

    /// Watches from this place. If there is something to read already, the loop is told.
    ///
    /// # Errors
    /// What epoll_ctl(2) reports. It may not be watched any more.
    pub fn begin(&self, place: Place) -> io::Result<()> {
        let Some(Registration { epoll, data }) = &self.registration else { return Ok(()) };
        self.end();
        let flags = match place {
            Place::Ahead => EpollFlags::EPOLLRDHUP,
            Place::Last => EpollFlags::EPOLLEXCLUSIVE,
        };
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET | flags, *data);
        Ok(epoll.add(self.watched.as_fd(), event)?)
    }

    /// Does not watch until [`Watch::begin`]. What the kernel has told already may still arrive.
    pub fn end(&self) {
        if let Some(Registration { epoll, .. }) = &self.registration {
            // The only failure is that it is not watched.
            let _ = epoll.delete(self.watched.as_fd());
        }
    }
}

/// The registration of a descriptor; `None` if no instance watches it.
fn find(watched: BorrowedFd<'_>) -> io::Result<Option<Registration>> {
    let inode = fstat(watched)?.st_ino;
    for epoll in instances()? {
        let Ok(about) = fs::read_to_string(format!("/proc/self/fdinfo/{}", epoll.0.as_raw_fd())) else {
            continue;
        };
        if let Some(data) = about.lines().find_map(|line| data_of(line, watched.as_raw_fd(), inode)) {
            return Ok(Some(Registration { epoll, data }));
        }
    }
    Ok(None)
}

/// The event data in a line such as `tfd:        5 events: 8000001d data: 7f2a0c  pos:0 ino:1a sdev:8`, if it is about
/// that descriptor. The number alone does not tell: the file that was registered under it may be open elsewhere yet,
/// and another one have its number.
fn data_of(line: &str, descriptor: RawFd, inode: u64) -> Option<u64> {
    let mut words = line.strip_prefix("tfd:")?.split_whitespace();
    let number = words.next()?.parse::<RawFd>().ok()?;
    let data = u64::from_str_radix(words.by_ref().skip_while(|&word| word != "data:").nth(1)?, 16).ok()?;
    let of_file = u64::from_str_radix(words.find_map(|word| word.strip_prefix("ino:"))?, 16).ok()?;
    (number == descriptor && of_file == inode).then_some(data)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::thread;

    use nix::fcntl::OFlag;
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
    use nix::unistd::{Pid, dup3, gettid};

    use super::{Place, Watch, data_of};

    const DATA: u64 = 0x7f00_1234_5678;

    fn watching(stream: UnixStream) -> (Epoll, Watch<UnixStream>) {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, DATA)).unwrap();
        let watch = Watch::of(stream);
        assert!(watch.is_known());
        (epoll, watch)
    }

    fn told(epoll: &Epoll) -> Vec<u64> {
        let mut events = [EpollEvent::empty(); 4];
        let count = epoll.wait(&mut events, EpollTimeout::ZERO).unwrap();
        events[..count].iter().map(EpollEvent::data).collect()
    }

    /// Once it has said its number, the only thing that a thread here sleeps in is epoll_wait(2).
    fn wait_until_asleep(thread: Pid) {
        let state = || std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        while !state().contains(") S ") {
            thread::yield_now();
        }
    }

    #[test]
    fn the_loop_is_told_under_the_data_that_it_chose_and_only_while_it_watches() {
        let (mut peer, stream) = UnixStream::pair().unwrap();
        let (epoll, watch) = watching(stream);
        watch.end();
        peer.write_all(b"x").unwrap();
        assert_eq!(told(&epoll), []);
        // What came meanwhile is told at once.
        for place in [Place::Last, Place::Ahead, Place::Last] {
            watch.begin(place).unwrap();
            assert_eq!(told(&epoll), [DATA]);
        }
        watch.end();
        watch.end();
        assert_eq!(told(&epoll), []);
    }

    #[test]
    fn one_in_the_row_is_told_the_first_that_sleeps_and_with_it_whoever_is_ahead() {
        let (mut peer, stream) = UnixStream::pair().unwrap();
        let sleepers: Vec<_> = (0..3).map(|_| watching(stream.try_clone().unwrap())).collect();
        let woken = |peer: &mut UnixStream| -> Vec<bool> {
            thread::scope(|scope| {
                let (tell, told) = mpsc::channel();
                let waits: Vec<_> = sleepers
                    .iter()
                    .map(|(epoll, _)| {
                        let tell = tell.clone();
                        scope.spawn(move || {
                            tell.send(gettid()).unwrap();
                            epoll.wait(&mut [EpollEvent::empty()], 2_000_u16).unwrap() > 0
                        })
                    })
                    .collect();
                told.iter().take(sleepers.len()).for_each(wait_until_asleep);
                peer.write_all(b"x").unwrap();
                waits.into_iter().map(|wait| wait.join().unwrap()).collect()
            })
        };
        let line_up = |places: [Place; 3]| {
            for ((epoll, watch), place) in sleepers.iter().zip(places) {
                watch.begin(place).unwrap();
                told(epoll);
            }
        };
        line_up([Place::Last; 3]);
        assert_eq!(woken(&mut peer), [true, false, false]);
        line_up([Place::Last; 3]);
        // Who begins again stands behind the others.
        sleepers[0].1.begin(Place::Last).unwrap();
        told(&sleepers[0].0);
        assert_eq!(woken(&mut peer), [false, true, false]);
        line_up([Place::Last, Place::Last, Place::Ahead]);
        assert_eq!(woken(&mut peer), [true, false, true]);
    }

    #[test]
    fn an_instance_that_watches_another_file_of_the_same_number_is_not_taken() {
        let (old, new) = UnixStream::pair().unwrap();
        let other = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        other.add(&old, EpollEvent::new(EpollFlags::EPOLLIN, DATA)).unwrap();
        let _old_is_open_yet = old.try_clone().unwrap();
        let mut number = OwnedFd::from(old);
        dup3(&new, &mut number, OFlag::O_CLOEXEC).unwrap();
        assert!(!Watch::of(number).is_known());
    }

    #[test]
    fn what_nobody_watches_is_left_alone() {
        let (_peer, stream) = UnixStream::pair().unwrap();
        let watch = Watch::of(stream);
        assert!(!watch.is_known());
        watch.begin(Place::Last).unwrap();
        watch.end();
    }

    #[test]
    fn the_kernels_line_is_read() {
        let line = "tfd:        5 events: 8000001d data:     7f2a0c  pos:0 ino:1a sdev:8";
        assert_eq!(data_of(line, 5, 0x1a), Some(0x7f_2a0c));
        assert_eq!(data_of(line, 6, 0x1a), None);
        assert_eq!(data_of(line, 5, 0x1b), None);
        assert_eq!(data_of("pos:\t0", 0, 0), None);
    }
}
