//! How master and worker talk: frames of one byte over a socket pair, and a pipe whose end means death.
//!
//! Orders also travel as signals, but an app may replace a signal's handler; it cannot replace this.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::unistd::pipe2;

/// What a master tells a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Accept nothing more, finish what is in flight, leave. The signal TERM means the same.
    Graceful,
    /// The same to one that serves; one that still loads the app leaves now. A signal of our own means the same, since the
    /// master cannot know for sure which it is.
    Withdraw,
    /// Leave now. QUIT and INT mean the same.
    Quick,
    /// Give up the call that lasts, accept nothing more, finish the rest, leave. SIGABRT means the same to the app.
    Abort,
    /// Open the log files again. USR1 means the same.
    Reopen,
    /// Note that the loop turns. No signal means the same: a handler may run while the loop is blocked.
    Ask,
    /// Go on accepting, but let each connection end with its next response (`--drain-delay`). No signal means the same.
    Close,
}

/// What a worker tells its master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The app is loaded and connections are accepted.
    Ready,
    /// The worker leaves of its own accord; another may take its place at once.
    Leaving,
    /// It has served as many requests as it should (`--max-requests`), and serves on until it is told to leave.
    Spent,
    /// A file of the app's code has changed (`--reload`).
    Changed,
    /// The app could not be loaded, and the worker will show why instead (`--reload`).
    Broken,
}

/// A message that is one byte on the wire.
pub trait Frame: Sized {
    /// The byte that stands for it.
    fn to_byte(&self) -> u8;
    /// The message that a byte stands for.
    fn from_byte(byte: u8) -> Option<Self>;
}

impl Frame for Order {
    fn to_byte(&self) -> u8 {
        match self {
            Self::Graceful => b'G',
            Self::Withdraw => b'W',
            Self::Quick => b'Q',
            Self::Abort => b'A',
            Self::Reopen => b'O',
            Self::Ask => b'?',
            Self::Close => b'C',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        let all =
            [Self::Graceful, Self::Withdraw, Self::Quick, Self::Abort, Self::Reopen, Self::Ask, Self::Close];
        all.into_iter().find(|order| order.to_byte() == byte)
    }
}

impl Frame for Report {
    fn to_byte(&self) -> u8 {
        match self {
            Self::Ready => b'R',
            Self::Leaving => b'L',
            Self::Changed => b'C',
            Self::Spent => b'S',
            Self::Broken => b'B',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Ready, Self::Leaving, Self::Changed, Self::Spent, Self::Broken]
            .into_iter()
            .find(|report| report.to_byte() == byte)
    }
}

/// What a look into the control socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<T> {
    /// A message.
    Frame(T),
    /// No message for now.
    Nothing,
    /// The other side is closed; nothing more will come.
    Closed,
}

/// One end of the control socket: sends `S`, receives `R`, never blocks.
#[derive(Debug)]
pub struct End<S, R> {
    socket: OwnedFd,
    frames: PhantomData<fn(S) -> R>,
}

/// The master's end.
pub type MasterEnd = End<Order, Report>;
/// The worker's end.
pub type WorkerEnd = End<Report, Order>;

/// Makes a connected pair of ends.
///
/// # Errors
/// What socketpair(2) reports (`EMFILE`, `ENFILE`).
pub fn pair() -> io::Result<(MasterEnd, WorkerEnd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (master, worker) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?;
    Ok((End { socket: master, frames: PhantomData }, End { socket: worker, frames: PhantomData }))
}

impl<S: Frame, R: Frame> End<S, R> {
    /// Sends one message.
    ///
    /// # Errors
    /// `EPIPE` if the other process is gone, `EAGAIN` if it has not read for thousands of messages.
    pub fn send(&self, frame: S) -> io::Result<()> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        send(self.socket.as_raw_fd(), &[frame.to_byte()], flags)?;
        Ok(())
    }

    /// Takes the next message, if there is one. A byte that is no message is passed over.
    ///
    /// # Errors
    /// What recv(2) reports, apart from having nothing to read.
    pub fn receive(&self) -> io::Result<Incoming<R>> {
        loop {
            let mut byte = [0_u8; 1];
            match recv(self.socket.as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(Incoming::Closed),
                Ok(_) => {
                    if let Some(frame) = R::from_byte(byte[0]) {
                        return Ok(Incoming::Frame(frame));
                    }
                }
                Err(Errno::EAGAIN) => return Ok(Incoming::Nothing),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl<S, R> From<OwnedFd> for End<S, R> {
    /// An end that another process has handed over.
    fn from(socket: OwnedFd) -> Self {
        Self { socket, frames: PhantomData }
    }
}

impl<S, R> AsFd for End<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<S, R> AsRawFd for End<S, R> {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Held by the master alone, as long as it lives. It has to be dropped in every child.
#[derive(Debug)]
pub struct Life {
    _write: OwnedFd,
}

/// Becomes readable (end of file) when the master has died, however it died.
#[derive(Debug)]
pub struct Alive {
    read: OwnedFd,
}

/// Makes the pipe whose only write end is the master's [`Life`].
///
/// # Errors
/// What pipe2(2) reports (`EMFILE`, `ENFILE`).
pub fn life() -> io::Result<(Life, Alive)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    Ok((Life { _write: write }, Alive { read }))
}

impl Alive {
    /// Whether the master still lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(nix::unistd::read(&self.read, &mut [0_u8; 1]), Ok(0))
    }

    /// Another handle on the same pipe.
    ///
    /// # Errors
    /// What fcntl(2) reports (`EMFILE`).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { read: self.read.try_clone()? })
    }
}

impl From<OwnedFd> for Alive {
    /// The read end of the pipe of another master.
    fn from(read: OwnedFd) -> Self {
        Self { read }
    }
}

impl AsFd for Alive {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl AsRawFd for Alive {
    fn as_raw_fd(&self) -> RawFd {
        self.read.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Incoming, Order, Report, life, pair};
    use crate::fork::tests::without_children;

    #[test]
    fn every_message_survives_the_way_and_they_keep_their_order() {
        let (master, worker) = pair().unwrap();
        let orders = [
            Order::Graceful,
            Order::Withdraw,
            Order::Quick,
            Order::Abort,
            Order::Reopen,
            Order::Ask,
            Order::Close,
        ];
        for order in orders {
            master.send(order).unwrap();
        }
        for order in orders {
            assert_eq!(worker.receive().unwrap(), Incoming::Frame(order));
        }
        assert_eq!(worker.receive().unwrap(), Incoming::Nothing);
        for report in [Report::Ready, Report::Leaving, Report::Changed, Report::Spent, Report::Broken] {
            worker.send(report).unwrap();
            assert_eq!(master.receive().unwrap(), Incoming::Frame(report));
        }
    }

    #[test]
    fn what_was_sent_before_the_end_is_read_before_the_end() {
        let _alone = without_children();
        let (master, worker) = pair().unwrap();
        worker.send(Report::Ready).unwrap();
        drop(worker);
        assert_eq!(master.receive().unwrap(), Incoming::Frame(Report::Ready));
        assert_eq!(master.receive().unwrap(), Incoming::Closed);
        assert!(master.send(Order::Quick).is_err());
    }

    #[test]
    fn orders_and_reports_cannot_be_taken_for_each_other() {
        assert_eq!(Order::from_byte(Report::Ready.to_byte()), None);
        assert_eq!(Report::from_byte(Order::Quick.to_byte()), None);
    }

    #[test]
    fn the_pipe_tells_when_its_holder_is_gone() {
        let _alone = without_children();
        let (life, alive) = life().unwrap();
        assert!(alive.is_alive());
        drop(life);
        assert!(!alive.is_alive());
    }
}
