//! The file of a Unix socket: who may replace it, who removes it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

use super::BindError;

/// The file of a socket that is this process's. Dropping it unlinks the file, but only in this process (not in
/// its children), only if it is still the same file (not a successor's), and not if it was left to somebody.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    owner: u32,
    left: AtomicBool,
}

impl SocketFile {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        // Absolute, since a reload may change the working directory.
        let path = std::path::absolute(path)?;
        Ok(Self {
            path,
            identity: (meta.dev(), meta.ino()),
            owner: std::process::id(),
            left: AtomicBool::new(false),
        })
    }

    /// Leaves the file to another process, which will unlink it.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.owner != std::process::id() || self.left.load(Ordering::Relaxed) {
            return;
        }
        let same = fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| meta.file_type().is_socket() && (meta.dev(), meta.ino()) == self.identity);
        if same {
            // Nothing can be done if the directory has become unwritable; the next start replaces the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket file that a server which is no more has left behind. A socket that somebody answers on,
/// and a file that is no socket, stay.
pub(super) fn make_room(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(meta) if !meta.file_type().is_socket() => {
            Err(BindError::Failed("the path exists and is no socket; remove it".to_owned()))
        }
        Ok(_) if somebody_listens(path) => Err(BindError::InUse),
        Ok(_) => fs::remove_file(path)
            .map_err(|error| BindError::Failed(format!("the stale socket cannot be removed: {error}"))),
    }
}

fn somebody_listens(path: &Path) -> bool {
    let connect = || {
        // Non-blocking, since connecting to a socket whose queue is full would wait.
        let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
