//! The files that are watched, as they were at the last look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a change shows in; `None` for a file that does not exist.
type Stamp = Option<(SystemTime, u64, u64)>;

/// See the module's first line.
pub(super) struct Files {
    stamps: BTreeMap<PathBuf, Stamp>,
    directories: BTreeSet<PathBuf>,
    since: SystemTime,
}

impl Files {
    /// No files. What is new on the list and younger than `since` counts as changed.
    pub(super) fn new(since: SystemTime) -> Self {
        Self { stamps: BTreeMap::new(), directories: BTreeSet::new(), since }
    }

    /// Takes a new list, and gives a file that has changed. Files that were on the list already are looked at if `all`.
    pub(super) fn renew(&mut self, list: Vec<PathBuf>, all: bool) -> Option<PathBuf> {
        let mut changed = None;
        for path in list {
            let differs = match self.stamps.contains_key(&path) {
                true => all && self.has_changed(&path),
                false => self.add(path.clone()),
            };
            if differs {
                changed = Some(path);
            }
        }
        changed
    }

    /// Whether a file of the list is not as it was.
    pub(super) fn has_changed(&mut self, path: &Path) -> bool {
        match self.stamps.get_mut(path) {
            Some(stamp) => {
                let now = stamp_of(path);
                std::mem::replace(stamp, now) != now
            }
            None => false,
        }
    }

    /// Takes all files as they are now.
    pub(super) fn settle(&mut self) {
        for (path, stamp) in &mut self.stamps {
            *stamp = stamp_of(path);
        }
    }

    /// The directories of a list's files that no list before has had.
    pub(super) fn new_directories(&mut self, list: &[PathBuf]) -> Vec<PathBuf> {
        let directories = list.iter().filter_map(|path| path.parent());
        let new = |directory: &&Path| self.directories.insert((*directory).to_owned());
        directories.filter(new).map(Path::to_owned).collect()
    }

    fn add(&mut self, path: PathBuf) -> bool {
        let stamp = stamp_of(&path);
        self.stamps.insert(path, stamp);
        stamp.is_some_and(|(modified, ..)| modified > self.since)
    }
}

/// The files that a pattern means now, or the file that it names.
pub(super) fn matching(pattern: &str) -> Vec<PathBuf> {
    let absolute = |path: PathBuf| std::path::absolute(path).ok();
    match glob::glob(pattern) {
        Ok(paths) => paths.filter_map(Result::ok).filter_map(absolute).collect(),
        Err(_) => absolute(PathBuf::from(pattern)).into_iter().collect(),
    }
}

fn stamp_of(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::{Files, matching};

    #[test]
    fn a_file_that_is_written_deleted_or_made_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (known, missing) = (folder.path().join("known.py"), folder.path().join("missing.py"));
        fs::write(&known, "a").unwrap();
        let mut files = Files::new(SystemTime::now() + Duration::from_secs(60));
        let list = vec![known.clone(), missing.clone()];
        assert_eq!(files.new_directories(&list), [folder.path()]);
        assert!(files.new_directories(&list).is_empty());
        assert_eq!(files.renew(list.clone(), true), None);
        fs::write(&known, "ab").unwrap();
        assert_eq!(files.renew(list.clone(), false), None);
        assert_eq!(files.renew(list.clone(), true), Some(known.clone()));
        assert_eq!(files.renew(list.clone(), true), None);
        fs::remove_file(&known).unwrap();
        assert!(files.has_changed(&known));
        fs::write(&missing, "").unwrap();
        assert_eq!(files.renew(list.clone(), true), Some(missing));
        assert!(!files.has_changed(&folder.path().join("another.py")));
    }

    #[test]
    fn what_was_written_while_the_app_was_loaded_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.py");
        let before = SystemTime::now() - Duration::from_secs(60);
        fs::write(&path, "").unwrap();
        assert_eq!(Files::new(before).renew(vec![path.clone()], false), Some(path));
    }

    #[test]
    fn a_change_is_over_when_files_have_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.py");
        let mut files = Files::new(SystemTime::now());
        files.renew(vec![path.clone()], true);
        fs::write(&path, "").unwrap();
        files.settle();
        assert_eq!(files.renew(vec![path], true), None);
    }

    #[test]
    fn a_pattern_means_what_it_matches_and_a_name_itself() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        let page = folder.path().join("deep/page.html");
        fs::write(&page, "").unwrap();
        let pattern = format!("{}/**/*.html", folder.path().display());
        assert_eq!(matching(&pattern), std::slice::from_ref(&page));
        assert_eq!(matching(&page.display().to_string()), [page]);
    }
}
