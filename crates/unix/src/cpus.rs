//! How many cores this container may use.

use std::num::NonZeroUsize;

/// The number of cores that the process may keep busy, at least 1: the affinity mask (`taskset`, cpusets),
/// lowered by the CPU quota of its control group (v1 or v2, `docker run --cpus`), rounded down.
#[must_use]
pub fn available() -> usize {
    // The standard library reads both; its fallback, when nothing can be read, is ours too.
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    use crate::fork::tests::in_child;
    use crate::wait::Change;

    #[test]
    fn the_affinity_mask_counts() {
        let end = in_child(|| {
            let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
            let first = (0..CpuSet::count()).find(|&cpu| all.is_set(cpu).unwrap()).unwrap();
            let mut one = CpuSet::new();
            one.set(first).unwrap();
            sched_setaffinity(Pid::from_raw(0), &one).unwrap();
            i32::from(super::available() != 1)
        });
        assert_eq!(end, Change::Exited(0));
    }
}
