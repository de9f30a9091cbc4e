//! The gate with compatibility switches; see `src/connection.rs`. The first byte of the input sets them.

#![no_main]

use ferricorn_config::Grammar;
use ferricorn_fuzz::connection::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((switches, bytes)) = input.split_first() else { return };
    let on = |bit: u8| switches & (1 << bit) != 0;
    let grammar = Grammar {
        permit_obsolete_folding: on(0),
        strip_header_spaces: on(1),
        permit_unconventional_http_method: on(2),
        permit_unconventional_http_version: on(3),
        casefold_http_method: on(4),
        require_host: on(5),
    };
    check(bytes, grammar);
});
