//! The gate with the default grammar; see `src/connection.rs`.

#![no_main]

use ferricorn_config::Grammar;
use ferricorn_fuzz::connection::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes, Grammar::default()));
