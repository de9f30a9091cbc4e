//! The calls into CPython and the kernel for which there is no safe interface.
//!
//! The one file of this crate in which `unsafe` is allowed.

#![expect(unsafe_code, reason = "see the line above; every block says why it is sound")]

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::raw::c_ulong;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

unsafe extern "C" {
    fn PyOS_BeforeFork();
    fn PyOS_AfterFork_Parent();
    fn PyOS_AfterFork_Child();
}

/// A `str` that holds each byte as the character of that number, as PEP 3333 wants it.
///
/// # Errors
/// `MemoryError`.
#[inline]
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // A slice is never longer than `isize::MAX` bytes.
    let length = bytes.len().cast_signed();
    // SAFETY: the thread is attached; the pointer and the length are a live slice's; the call gives a new
    // reference to a `str`, or null with an exception set.
    unsafe {
        let string = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null());
        Ok(Bound::from_owned_ptr_or_err(py, string)?.cast_into_unchecked())
    }
}

/// The bytes of a `str` whose characters are all below U+0100; `None` if one is not.
///
/// # Errors
/// `MemoryError`, before Python 3.12.
#[inline]
pub(crate) fn latin1_bytes<'a>(string: &'a Bound<'_, PyString>) -> PyResult<Option<&'a [u8]>> {
    // SAFETY: the data of a `str` never changes once it is made, and lives as long as the borrowed object.
    // CPython keeps a `str` in the narrowest form, so one in a wider form has a character beyond U+00FF.
    match unsafe { string.data() }? {
        PyStringData::Ucs1(bytes) => Ok(Some(bytes)),
        PyStringData::Ucs2(_) | PyStringData::Ucs4(_) => Ok(None),
    }
}

/// Whether nobody holds the object but the one who asks.
#[inline]
pub(crate) fn is_held_once(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is alive, for it is borrowed, and the thread is attached, as `Bound` proves.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) == 1 }
}

/// Has references to the object be counted no more, so that it is never freed and never written to for that (PEP 683).
/// Gives whether it is so now, and was not before.
#[cfg(immortal)]
pub(crate) fn make_immortal(object: &Bound<'_, PyAny>) -> bool {
    /// `_Py_IMMORTAL_REFCNT` of CPython 3.12 and 3.13: both halves of the word are looked at, the lower for its sign.
    const COUNT: isize = u32::MAX as isize;
    // SAFETY: the object is alive, for it is borrowed, and the thread is attached, as `Bound` proves, so that nobody else
    // reads or writes the count. Whoever gives a reference back finds the mark, as with `None`, and leaves it.
    unsafe {
        let count = &raw mut (*object.as_ptr()).ob_refcnt.ob_refcnt;
        let fresh = *count as i32 >= 0;
        if fresh {
            *count = COUNT;
        }
        fresh
    }
}

/// Whether CPython's collector knows the object: whether it can hold others.
#[cfg(immortal)]
pub(crate) fn is_tracked(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is alive, for it is borrowed, and the thread is attached, as `Bound` proves.
    unsafe { ffi::PyObject_GC_IsTracked(object.as_ptr()) != 0 }
}

/// The method of a descriptor, bound to an object: what looking it up on the object gives, without looking.
///
/// # Errors
/// `TypeError` if the descriptor is not one of the object's type.
#[inline]
pub(crate) fn bound<'py>(
    descriptor: &Bound<'py, PyAny>,
    object: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both objects are alive and the thread is attached, as `Bound` proves; the slot is called as CPython does,
    // with the object and its type, checks them, and gives a new reference, or null with an exception set.
    unsafe {
        let Some(get) = (*ffi::Py_TYPE(descriptor.as_ptr())).tp_descr_get else {
            return Ok(descriptor.clone());
        };
        let method = get(descriptor.as_ptr(), object.as_ptr(), ffi::Py_TYPE(object.as_ptr()).cast());
        Bound::from_owned_ptr_or_err(descriptor.py(), method)
    }
}

/// What calling a type gives whose own type is `type`. If its `__init__` fails the object is there all the same.
///
/// # Errors
/// What the type raises, and the object if it was made.
pub(crate) fn construct<'py>(
    kind: &Bound<'py, PyType>,
    arguments: &Bound<'py, PyTuple>,
    keywords: &Bound<'py, PyDict>,
) -> Result<Bound<'py, PyAny>, (PyErr, Option<Bound<'py, PyAny>>)> {
    let py = kind.py();
    // SAFETY: all three are alive and of the types that the slots take, and the thread is attached, as `Bound` proves.
    // The slots are called as `type.__call__` does: `tp_new` gives a new reference, or null with an exception set;
    // `tp_init` is that of the type of what was made, and gives a negative number with an exception set.
    unsafe {
        let Some(new) = (*kind.as_type_ptr()).tp_new else {
            return kind.call(arguments, Some(keywords)).map_err(|error| (error, None));
        };
        let made = new(kind.as_type_ptr(), arguments.as_ptr(), keywords.as_ptr());
        let made = Bound::from_owned_ptr_or_err(py, made).map_err(|error| (error, None))?;
        match (*ffi::Py_TYPE(made.as_ptr())).tp_init {
            Some(init) if init(made.as_ptr(), arguments.as_ptr(), keywords.as_ptr()) < 0 => {
                Err((PyErr::fetch(py), Some(made)))
            }
            _ => Ok(made),
        }
    }
}

/// The number of this thread, as `threading.get_ident()` tells it.
#[inline]
pub(crate) fn thread_ident() -> c_ulong {
    // SAFETY: it has no preconditions.
    unsafe { ffi::PyThread_get_thread_ident() }
}

/// Has an exception of this type raised in a thread when it next runs Python, or takes that back.
pub(crate) fn set_async_exception(_py: Python<'_>, thread: c_ulong, kind: Option<&Bound<'_, PyAny>>) {
    let kind = kind.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: the thread is attached, as the first argument proves; the type is alive, and the call takes a reference
    // of its own. A number that is no thread's any more is passed over. It is declared signed for CPython before 3.7.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread.cast_signed(), kind) };
}

/// A copy of the thread's context, as `contextvars.copy_context()` makes it.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn copy_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the thread is attached; the call gives a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

/// Makes the context that of the thread, until [`exit_context`].
///
/// # Errors
/// `RuntimeError` if a thread is in it already.
pub(crate) fn enter_context(context: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the thread is attached, as `Bound` proves; the call checks the type, and gives -1 with an exception set
    // if it fails.
    match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(context.py())),
    }
}

/// Gives the thread back the context that it had before.
///
/// # Errors
/// `RuntimeError` if the context is not that of the thread.
pub(crate) fn exit_context(context: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: as for entering it.
    match unsafe { ffi::PyContext_Exit(context.as_ptr()) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(context.py())),
    }
}

/// What `f` gives, between CPython's preparations for a fork and its repairs after one.
///
/// `in_child` tells from the result of `f` whether this is the new process.
pub(crate) fn around_fork<R>(_py: Python<'_>, f: impl FnOnce() -> R, in_child: impl FnOnce(&R) -> bool) -> R {
    // SAFETY: the thread is attached, as the argument proves, and stays so; each call before is matched by
    // one after, in the process that it is meant for. `f` and `in_child` do not unwind past this function
    // with the import lock held, because `Guard` repairs the parent in that case.
    unsafe {
        struct Guard;
        impl Drop for Guard {
            fn drop(&mut self) {
                // SAFETY: as above; it runs only if `f` or `in_child` panicked, before any fork is known of.
                unsafe { PyOS_AfterFork_Parent() }
            }
        }
        PyOS_BeforeFork();
        let guard = Guard;
        let result = f();
        let child = in_child(&result);
        std::mem::forget(guard);
        if child {
            PyOS_AfterFork_Child()
        } else {
            PyOS_AfterFork_Parent()
        }
        result
    }
}

/// A second descriptor for the file behind `fd`, closed on exec.
///
/// # Errors
/// That of `fcntl(F_DUPFD_CLOEXEC)`.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(9));
    }
    // SAFETY: it is not -1, and it is borrowed for this call only; if it is not open the call fails.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(File::from(borrowed.try_clone_to_owned()?))
}
