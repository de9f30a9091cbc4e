//! Lets the tests and benchmarks find the interpreter's shared library where it is not a system library.

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
}
