//! The process title that `ps` and `top` show.

use std::ffi::CString;
use std::fs;
use std::ops::Range;

/// Sets the title, cut to the room that the command line has, and the short name of the process.
///
/// The kernel shows as a process's command line what stands in the memory where its arguments were put at its
/// start. Only that memory is written, never the environment behind it. Where it cannot be found the short name
/// alone is set.
pub fn set(title: &str) {
    if let Ok(name) = CString::new("ferricorn") {
        // SAFETY: PR_SET_NAME reads at most 16 bytes of a string that ends with NUL.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
    if let Some(room) = argument_area() {
        write(title, room);
    }
}

/// Sets a title in the place of another one, unless the app has set its own since.
pub fn replace(before: &str, now: &str) {
    let shown = fs::read_to_string("/proc/self/cmdline").unwrap_or_default();
    let shown = shown.trim_end_matches('\0');
    if !shown.is_empty() && before.starts_with(shown) {
        set(now);
    }
}

/// The title of a worker, with a word for what it is about.
#[must_use]
pub fn of_worker(name: &str, about: &str) -> String {
    format!("ferricorn: worker [{name}] {about}")
}

/// Fields 48 and 49 of `/proc/self/stat` (proc(5)): `arg_start` and `arg_end`.
fn argument_area() -> Option<Range<usize>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, in parentheses, may hold anything; the third begins behind the last one of them.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut numbers = fields.split_whitespace().skip(45).map(str::parse::<usize>);
    let (start, end) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (start != 0 && start < end && end - start < 1 << 21).then_some(start..end)
}

fn write(title: &str, room: Range<usize>) {
    // The last byte stays NUL: otherwise the kernel would read on into the environment.
    let length = title.len().min(room.len() - 1);
    let length = (0..=length).rev().find(|&at| title.is_char_boundary(at)).unwrap_or(0);
    let area = room.start as *mut u8;
    // SAFETY: the kernel says that this memory holds the arguments. It is writable, lives as long as the process,
    // and both Rust and Python have copied what they need of it.
    unsafe {
        std::ptr::write_bytes(area, 0, room.len());
        std::ptr::copy_nonoverlapping(title.as_ptr(), area, length);
    }
}

#[cfg(test)]
mod tests {
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    #[test]
    fn the_title_is_what_ps_shows_and_the_environment_is_untouched() {
        let end = in_child(|| {
            let environment = std::fs::read("/proc/self/environ").unwrap();
            let room = std::fs::read("/proc/self/cmdline").unwrap().len();
            let title = "ferricorn: master [é] and much more than there can be room for ".repeat(50);
            for text in [title.as_str(), "ferricorn"] {
                super::set(text);
                let shown = std::fs::read_to_string("/proc/self/cmdline").unwrap();
                let shown = shown.trim_end_matches('\0');
                assert!(shown.len() < room && text.starts_with(shown) && !shown.is_empty(), "{shown}");
            }
            super::replace("somebody else", "nobody");
            super::replace("ferricorn", "new");
            assert!(std::fs::read_to_string("/proc/self/cmdline").unwrap().starts_with("new\0"));
            assert_eq!(std::fs::read_to_string("/proc/self/comm").unwrap(), "ferricorn\n");
            i32::from(std::fs::read("/proc/self/environ").unwrap() != environment)
        });
        assert_eq!(end, Change::Exited(0));
    }
}
