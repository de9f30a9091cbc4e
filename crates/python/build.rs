//! Lets the tests and benchmarks find the interpreter's shared library where it is not a system library, and tells the code
//! whether it knows how this CPython marks an object as immortal.

use pyo3_build_config::PythonVersion;

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
    println!("cargo::rustc-check-cfg=cfg(immortal)");
    let config = pyo3_build_config::get();
    let known = (PythonVersion { major: 3, minor: 12 }..PythonVersion { major: 3, minor: 14 })
        .contains(&config.version());
    if known && config.pointer_width() == Some(64) && !config.is_free_threaded() {
        println!("cargo::rustc-cfg=immortal");
    }
}
