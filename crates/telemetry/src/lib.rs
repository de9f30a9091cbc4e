//! Error log, access-log grammar, counters.
