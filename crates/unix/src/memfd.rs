//! The file in memory to which a worker writes its stacks and from which its master reads them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// The longest text that is read: stacks of hundreds of threads fit.
const READ_LIMIT: u64 = 1 << 20;

/// An unnamed file in memory. After a fork both processes share it and its position.
#[derive(Debug)]
pub struct StackFile {
    file: File,
}

impl StackFile {
    /// Makes an empty one.
    ///
    /// # Errors
    /// What memfd_create(2) reports (`EMFILE`, `ENOMEM`).
    pub fn create() -> io::Result<Self> {
        let fd = memfd_create(c"ferricorn-stacks", MFdFlags::MFD_CLOEXEC)?;
        Ok(Self { file: File::from(fd) })
    }

    /// Another handle on the same file, with the same position.
    ///
    /// # Errors
    /// What fcntl(2) reports (`EMFILE`).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()? })
    }

    /// Empties it and sets its position, which the worker shares, to the beginning.
    ///
    /// # Errors
    /// What ftruncate(2) reports.
    pub fn truncate(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).seek(SeekFrom::Start(0))?;
        Ok(())
    }

    /// What has been written since it was last emptied, at most 1 MiB; bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// What lseek(2) and read(2) report.
    pub fn read(&self) -> io::Result<String> {
        let mut bytes = Vec::new();
        (&self.file).seek(SeekFrom::Start(0))?;
        (&self.file).take(READ_LIMIT).read_to_end(&mut bytes)?;
        // A worker that is still writing goes on at the end, not in the middle.
        (&self.file).seek(SeekFrom::End(0))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl From<OwnedFd> for StackFile {
    /// One that another process has made and handed over.
    fn from(fd: OwnedFd) -> Self {
        Self { file: File::from(fd) }
    }
}

impl AsFd for StackFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for StackFile {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::StackFile;
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    #[test]
    fn a_child_writes_and_the_parent_reads_again_and_again() {
        let stacks = StackFile::create().unwrap();
        for text in ["File \"a.py\", line 1", "b"] {
            stacks.truncate().unwrap();
            let end = in_child(|| i32::from((&stacks.file).write_all(text.as_bytes()).is_err()));
            assert_eq!(end, Change::Exited(0));
            assert_eq!(stacks.read().unwrap(), text);
        }
    }
}
