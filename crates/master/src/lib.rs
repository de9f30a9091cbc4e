//! Forks workers and supervises them.
