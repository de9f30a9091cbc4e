//! Random bytes: nothing panics, no split changes the verdict, and what passes is what hyper accepts.

use ferricorn_config::Grammar;
use proptest::prelude::*;

use super::corpus::{BAD, BAD_CHUNKS, GOOD, GOOD_BODIES};
use super::harness::{Client, run, statuses};
use crate::gate::fuzz::{Rules, pass};

/// Bytes that look like HTTP: parts of the corpus, cut, joined and spoiled.
fn almost_http() -> impl Strategy<Value = Vec<u8>> {
    let heads = GOOD.iter().map(|(head, _)| (*head).to_owned());
    let bad = BAD.iter().map(|(head, _)| (*head).to_owned());
    let bodies = GOOD_BODIES.iter().map(|(body, _)| format!("POST / HTTP/1.1\r\n{body}"));
    let chunks =
        BAD_CHUNKS.iter().map(|body| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    let all: Vec<String> = heads.chain(bad).chain(bodies).chain(chunks).collect();
    let part = prop_oneof![
        6 => proptest::sample::select(all).prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => Just(b"\r\n".to_vec()),
    ];
    let spoil = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (proptest::collection::vec(part, 0..4), spoil).prop_map(|(parts, spoil)| {
        let mut bytes = parts.concat();
        for (index, byte) in spoil {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

/// Switches in every combination.
fn grammar() -> impl Strategy<Value = Grammar> {
    any::<[bool; 6]>().prop_map(|[folds, spaces, methods, versions, casefold, host]| Grammar {
        permit_obsolete_folding: folds,
        strip_header_spaces: spaces,
        permit_unconventional_http_method: methods,
        permit_unconventional_http_version: versions,
        casefold_http_method: casefold,
        require_host: host,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_and_no_split_matters(
        bytes in prop_oneof![almost_http(), proptest::collection::vec(any::<u8>(), 0..200)],
        step in 1..40_usize,
        grammar in grammar(),
    ) {
        let rules = Rules::with(grammar);
        prop_assert_eq!(pass(bytes.chunks(step), rules), pass([bytes.as_slice()], rules));
    }

    #[test]
    fn what_passes_is_what_hyper_accepts(
        bytes in almost_http(),
        step in 1..60_usize,
        grammar in grammar(),
    ) {
        let received = run(async {
            let mut client = Client::under(grammar);
            client.send_all(bytes.chunks(step)).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await;
            client.rest().await
        });
        // hyper answers what it refuses with an empty body; the app and the gate never do.
        prop_assert!(!received.contains("content-length: 0\r\n"), "{}", received);
        let known = [200, 400, 408, 414, 417, 422, 431, 501];
        prop_assert!(statuses(&received).iter().all(|status| known.contains(status) || *status == 100), "{}", received);
    }
}
