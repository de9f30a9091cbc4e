//! Descriptors 0, 1 and 2: a process that was started without one of them gets /dev/null there.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};

/// Opens /dev/null for each standard stream that is closed. The next descriptor that is made would take its number
/// otherwise, and what is logged would go to a client. To be called before anything is opened.
///
/// # Errors
/// What open(2) reports of /dev/null.
pub fn fill_standard_streams() -> io::Result<()> {
    loop {
        // The kernel gives the lowest number that is free.
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        // It stays open for as long as the process lives.
        let _ = null.into_raw_fd();
    }
}
