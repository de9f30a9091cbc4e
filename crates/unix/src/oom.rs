//! Whether the kernel killed a process for lack of memory: the count that its control group keeps.

use std::fs;
use std::path::{Path, PathBuf};

/// Reads the count of this process's control group, of version 2 (`memory.events`) or 1 (`memory.oom_control`).
#[derive(Debug)]
pub struct OomKills {
    file: Option<PathBuf>,
    seen: u64,
}

impl OomKills {
    /// Finds the count, and notes where it stands. The root group has none, and a container may hide its own.
    #[must_use]
    pub fn watch() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let file = candidates(&groups).into_iter().find(|file| count(file).is_some());
        let seen = file.as_deref().and_then(count).unwrap_or(0);
        Self { file, seen }
    }

    /// How many processes of the group the kernel has killed since the last call; `None` if it does not tell.
    pub fn since(&mut self) -> Option<u64> {
        let now = count(self.file.as_deref()?)?;
        let before = std::mem::replace(&mut self.seen, now);
        Some(now.saturating_sub(before))
    }
}

/// Where the count may be, the likelier place first: in a namespace of its own a group sees itself as the root.
fn candidates(groups: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.events"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.oom_control")
            }
            _ => continue,
        };
        found.push(Path::new(root).join(path.trim_start_matches('/')).join(file));
        found.push(Path::new(root).join(file));
    }
    found
}

fn count(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{OomKills, candidates, count};

    #[test]
    fn the_count_is_looked_for_in_both_versions_and_at_the_root() {
        let two = candidates("0::/system.slice/app.service\n");
        let two: Vec<_> = two.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            two,
            ["/sys/fs/cgroup/system.slice/app.service/memory.events", "/sys/fs/cgroup/memory.events"]
        );
        let one = candidates("5:cpu,memory:/x\n4:pids:/x\n");
        assert_eq!(one[0].to_str(), Some("/sys/fs/cgroup/memory/x/memory.oom_control"));
        assert_eq!(one.len(), 2);
    }

    #[test]
    fn what_has_happened_since_the_last_look_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("memory.events");
        let write =
            |kills: u64| std::fs::write(&file, format!("low 0\noom 9\noom_kill {kills}\noom_group_kill 0\n"));
        write(2).unwrap();
        let mut kills = OomKills { seen: count(&file).unwrap(), file: Some(file.clone()) };
        assert_eq!(kills.since(), Some(0));
        write(4).unwrap();
        assert_eq!((kills.since(), kills.since()), (Some(2), Some(0)));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(kills.since(), None);
    }
}
