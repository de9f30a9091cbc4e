//! Messages between two processes of ours, which may carry descriptors (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};

use crate::control::Incoming;

/// The longest message, in bytes.
pub const LONGEST: usize = 32 * 1024;
/// How many descriptors one message carries at most: what the kernel lets through (`SCM_MAX_FD`).
pub const MOST_DESCRIPTORS: usize = 253;

/// A message as it arrives.
#[derive(Debug)]
pub struct Parcel {
    /// Its bytes, never none.
    pub bytes: Vec<u8>,
    /// Its descriptors, in the order in which they were sent, closed on exec.
    pub descriptors: Vec<OwnedFd>,
}

/// One end of a pair.
#[derive(Debug)]
pub struct Post(OwnedFd);

/// Makes a connected pair. Both ends are closed on exec.
///
/// # Errors
/// What socketpair(2) reports (`EMFILE`).
pub fn pair() -> io::Result<(Post, Post)> {
    let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok((Post(one), Post(other)))
}

impl Post {
    /// Sends a message of 1 to [`LONGEST`] bytes with up to [`MOST_DESCRIPTORS`] descriptors. Does not wait for the
    /// other process.
    ///
    /// # Errors
    /// `EPIPE` if the other process is gone, `EAGAIN` if it has not read several messages.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let rights = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None)?;
        Ok(())
    }

    /// Takes the next message, if there is one.
    ///
    /// # Errors
    /// What recvmsg(2) reports, apart from having nothing to read.
    pub fn receive(&self) -> io::Result<Incoming<Parcel>> {
        let mut bytes = vec![0; LONGEST];
        let mut space = nix::cmsg_space!([RawFd; MOST_DESCRIPTORS]);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let (length, descriptors) = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut space), flags) {
                Ok(message) => {
                    let mut descriptors = Vec::new();
                    for part in message.cmsgs()? {
                        if let ControlMessageOwned::ScmRights(numbers) = part {
                            // SAFETY: the kernel has just made these descriptors for this process, which knows of
                            // them only from here.
                            descriptors.extend(numbers.iter().map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                        }
                    }
                    break (message.bytes, descriptors);
                }
                Err(Errno::EAGAIN) => return Ok(Incoming::Nothing),
                Err(Errno::ECONNRESET) => return Ok(Incoming::Closed),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        if length == 0 {
            return Ok(Incoming::Closed);
        }
        bytes.truncate(length);
        Ok(Incoming::Frame(Parcel { bytes, descriptors }))
    }
}

impl AsFd for Post {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::fd::AsFd;

    use super::{LONGEST, pair};
    use crate::control::Incoming;
    use crate::fork::tests::{in_child, without_children};
    use crate::wait::Change;

    #[test]
    fn messages_keep_their_bounds_and_carry_descriptors_to_another_process() {
        let (master, mold) = pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        master.send(b"one", &[]).unwrap();
        master.send(&[7; LONGEST], &[file.as_fd(), file.as_fd()]).unwrap();
        let end = in_child(|| {
            let Incoming::Frame(one) = mold.receive().unwrap() else { return 1 };
            let Incoming::Frame(two) = mold.receive().unwrap() else { return 2 };
            assert_eq!((one.bytes.as_slice(), one.descriptors.len()), (&b"one"[..], 0));
            assert_eq!((two.bytes.len(), two.descriptors.len()), (LONGEST, 2));
            for descriptor in two.descriptors {
                std::fs::File::from(descriptor).write_all(b"x").unwrap();
            }
            mold.send(b"done", &[]).unwrap();
            0
        });
        assert_eq!(end, Change::Exited(0));
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "xx");
        assert!(matches!(master.receive().unwrap(), Incoming::Frame(done) if done.bytes == b"done"));
        assert!(matches!(master.receive().unwrap(), Incoming::Nothing));
        let _alone = without_children();
        drop(mold);
        assert!(matches!(master.receive().unwrap(), Incoming::Closed));
        assert!(master.send(b"late", &[]).is_err());
    }
}
