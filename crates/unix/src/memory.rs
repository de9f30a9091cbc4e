//! How much memory a process has for itself alone.

use std::fs;
use std::io;

/// The lines of `smaps_rollup` that make up the memory which its end would give back (proc(5)).
const PRIVATE: [&str; 3] = ["Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"];

/// The memory of a process that no other process shares, in bytes. The kernel walks its whole address space for this,
/// and the process cannot change that meanwhile; so it is not for every second.
///
/// # Errors
/// `/proc/PID/smaps_rollup` cannot be read: the process is gone, or another user's.
pub fn private(pid: i32) -> io::Result<u64> {
    Ok(sum(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?))
}

fn sum(rollup: &str) -> u64 {
    let kilobytes = |line: &str| {
        let (name, rest) = line.split_once(char::is_whitespace)?;
        PRIVATE.contains(&name).then(|| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())?
    };
    rollup.lines().filter_map(kilobytes).sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::{private, sum};
    use crate::fork::tests::without_children;

    #[test]
    fn what_is_private_is_added_up() {
        let rollup = "5573d1b2a000-7ffd3cd9f000 ---p 00000000 00:00 0   [rollup]\nRss:                3024 kB\n\
                      Shared_Clean:       1000 kB\nPrivate_Clean:         4 kB\nPrivate_Dirty:       120 kB\n\
                      Private_Hugetlb:    2048 kB\nSwap:                  0 kB\n";
        assert_eq!(sum(rollup), (4 + 120 + 2048) * 1024);
    }

    #[test]
    fn memory_that_is_written_counts() {
        // What it has in common with a child is not its own.
        let _alone = without_children();
        let own = std::process::id().cast_signed();
        let before = private(own).unwrap();
        let mut block = vec![1_u8; 32 << 20];
        std::hint::black_box(&mut block);
        assert!(private(own).unwrap() >= before + (24 << 20));
        assert!(private(i32::MAX).is_err());
    }
}
