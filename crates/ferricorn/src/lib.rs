//! The composition root: command line, exit codes, and the facade that a Rust app links.
