//! The C library's allocator, from which CPython takes every object of more than 512 bytes.

/// Has the heap keep what is freed at its end, up to 8 MiB, and serve blocks of up to 4 MiB.
///
/// By default glibc gives the end of the heap back at 128 KiB, so that responses of that size cost a `brk` and a page
/// fault for each of their pages, again and again. Elsewhere than with glibc this does nothing.
pub fn keep_for_reuse() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes two plain numbers, and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 * 1024 * 1024);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 * 1024 * 1024);
    }
}

/// Gives back what is free now.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes a plain number, locks what it must, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
