//! Who a process is: the user and the group that it runs as, and how it becomes another.

use std::ffi::CString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::sys::prctl;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, initgroups, setgroups, setresgid, setresuid};

/// The number of a user; `None` if there is no such user.
///
/// # Errors
/// What the user database reports (`EIO`).
pub fn user_id(name: &str) -> io::Result<Option<u32>> {
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

/// The number of a group; `None` if there is no such group.
///
/// # Errors
/// What the group database reports (`EIO`).
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// Whom a worker becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The number of its user; `None` for the present one.
    pub user: Option<u32>,
    /// The number of its group; `None` for that of the user, or the present one.
    pub group: Option<u32>,
    /// Whether it gets all groups of its user, not that group alone.
    pub all_groups: bool,
}

/// What could not be done.
#[derive(Debug)]
pub struct IdentityError {
    what: &'static str,
    source: io::Error,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.source)?;
        match self.source.raw_os_error() {
            Some(libc::EPERM) => {
                f.write_str("; only root can. Start the server as root, or without --user and --group")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for IdentityError {}

impl Identity {
    /// Whether it is that of this process.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.uid() == geteuid() && self.gid() == getegid() && !self.all_groups
    }

    fn uid(&self) -> Uid {
        self.user.map_or_else(geteuid, Uid::from_raw)
    }

    fn gid(&self) -> Gid {
        if let Some(group) = self.group {
            return Gid::from_raw(group);
        }
        let user = self.user.map(Uid::from_raw).filter(|&uid| uid != geteuid());
        user.and_then(|uid| User::from_uid(uid).ok().flatten()).map_or_else(getegid, |user| user.gid)
    }

    /// Becomes it, for good: the process has no way back. Nothing is left of the groups that it had.
    ///
    /// # Errors
    /// What the kernel refused. The process may be half-way, and must end.
    pub fn assume(&self) -> Result<(), IdentityError> {
        if self.is_present() {
            return Ok(());
        }
        let failed = |what| move |errno: nix::Error| IdentityError { what, source: errno.into() };
        let (uid, gid) = (self.uid(), self.gid());
        let name = User::from_uid(uid).ok().flatten().and_then(|user| CString::new(user.name).ok());
        match name.filter(|_| self.all_groups) {
            Some(name) => initgroups(&name, gid).map_err(failed("take on the groups of the user"))?,
            None => setgroups(&[gid]).map_err(failed("give up the groups of the master"))?,
        }
        setresgid(gid, gid, gid).map_err(failed("change the group"))?;
        setresuid(uid, uid, uid).map_err(failed("change the user"))?;
        // As for a process that was started by that user: it may look at itself in /proc, and leave a core file.
        prctl::set_dumpable(true).map_err(failed("be seen by its user"))
    }

    /// Gives this identity the file of a log, which is made if there is none: a worker must be able to open it again after
    /// a rotation. A file that is somebody else's already, or a link, is left alone.
    ///
    /// # Errors
    /// What the kernel reports.
    pub fn provide(&self, path: &Path) -> io::Result<()> {
        if self.is_present() {
            return Ok(());
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path);
        match file {
            Ok(file) if is_own(&file)? => fchown(&file, Some(self.uid().as_raw()), Some(self.gid().as_raw())),
            Ok(_) => Ok(()),
            // A link, or a pipe that nobody reads.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The owner of what this identity is to have: numbers of user and group.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        (self.uid().as_raw(), self.gid().as_raw())
    }
}

/// Whether this is an ordinary file of this process's user, known by one name.
fn is_own(file: &File) -> io::Result<bool> {
    let meta = file.metadata()?;
    Ok(meta.is_file() && meta.nlink() == 1 && meta.uid() == geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use nix::unistd::{Uid, geteuid, getgroups, getresgid, getresuid};

    use super::{Identity, group_id, user_id};
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    const NOBODY: Identity = Identity { user: Some(65_534), group: Some(65_533), all_groups: false };

    #[test]
    fn names_are_found_or_not() {
        assert_eq!(user_id("root").unwrap(), Some(0));
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(user_id("no such user").unwrap(), None);
        assert_eq!(group_id("no such group").unwrap(), None);
    }

    #[test]
    fn who_is_there_already_changes_nothing() {
        let present = Identity { user: Some(geteuid().as_raw()), group: None, all_groups: false };
        assert!(present.is_present() && Identity::default().is_present());
        present.assume().unwrap();
    }

    #[test]
    fn nothing_of_root_is_left() {
        if !geteuid().is_root() {
            return;
        }
        let end = in_child(|| {
            NOBODY.assume().unwrap();
            let (user, group) = (getresuid().unwrap(), getresgid().unwrap());
            assert_eq!([user.real, user.effective, user.saved].map(Uid::as_raw), [65_534; 3]);
            assert_eq!([group.real, group.effective, group.saved].map(nix::unistd::Gid::as_raw), [65_533; 3]);
            assert_eq!(getgroups().unwrap(), [group.real]);
            assert!(
                fs::read_dir("/proc/self/fd").is_ok() && fs::read_to_string("/proc/self/environ").is_ok()
            );
            // It cannot become anybody else any more.
            let error = Identity { user: Some(1), ..NOBODY }.assume().unwrap_err().to_string();
            i32::from(!error.contains("only root can"))
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn a_user_has_its_own_group_and_all_its_groups_if_asked() {
        if !geteuid().is_root() {
            return;
        }
        let daemon = Identity { user: user_id("daemon").unwrap(), group: None, all_groups: true };
        let end = in_child(move || {
            daemon.assume().unwrap();
            let groups = getgroups().unwrap();
            i32::from(!groups.contains(&nix::unistd::getgid()) || nix::unistd::getgid().as_raw() == 0)
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn a_log_is_given_away_but_nothing_that_a_link_leads_to() {
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let owner = |name: &str| fs::metadata(path(name)).unwrap().uid();
        NOBODY.provide(&path("new.log")).unwrap();
        assert_eq!(owner("new.log"), 65_534);
        fs::write(path("secret"), "").unwrap();
        std::os::unix::fs::symlink(path("secret"), path("link.log")).unwrap();
        NOBODY.provide(&path("link.log")).unwrap();
        fs::hard_link(path("secret"), path("second.log")).unwrap();
        NOBODY.provide(&path("second.log")).unwrap();
        assert_eq!(owner("secret"), 0);
        NOBODY.provide("/dev/null".as_ref()).unwrap();
        assert_eq!(fs::metadata("/dev/null").unwrap().uid(), 0);
    }
}
