//! The gate against hyper, against a second reading of the RFCs, and against itself.
//!
//! - However bytes are cut into pieces, the gate's verdict is the same.
//! - What it lets through is sound HTTP/1.1, and ends where the gate thinks it ends.
//! - hyper reads the same requests in it, with the same bodies, and finds nothing to refuse.

use std::iter;

use ferricorn_config::Grammar;
use ferricorn_worker_async::gate_fuzz::{End, Passage, Passed, Rules, Told, pass, requests};
use http::{Method, Version};

use crate::http1::{self, Framing};
use crate::live::{self, BodyEnd, Manner, Outcome, Seen};
use crate::pieces::{Dice, cut};

/// Checks all of it for the bytes of one connection, with gunicorn's limits and this grammar.
///
/// # Panics
/// Something does not hold.
pub fn check(bytes: &[u8], grammar: Grammar) {
    let mut dice = Dice::of(bytes);
    let narrow = Rules::new(40, 3, 30).under(grammar);
    splits_do_not_matter(bytes, narrow, &pass(bytes.chunks(1), narrow), &mut dice);
    let rules = Rules::with(grammar);
    let (believed, passage) = requests(bytes, rules);
    splits_do_not_matter(bytes, rules, &passage, &mut dice);
    let read = what_passes_is_sound(&believed, &passage, grammar);
    for _ in 0..2 {
        let manner = Manner {
            pauses: dice.roll(2) == 0,
            rests: dice.roll(2) == 0,
            reads: dice.roll(4) != 0,
            waits: [0, 1, 5][dice.roll(3)],
            half_close: dice.roll(4) != 0,
        };
        let most = [1, 3, 20, bytes.len()][dice.roll(4)];
        let outcome = live::run(&cut(bytes, most.max(1), &mut dice), rules, manner);
        hyper_agrees(&read, &passage, &outcome, manner);
    }
}

/// Byte by byte, all at once, and in between.
fn splits_do_not_matter(bytes: &[u8], rules: Rules, one_by_one: &Passage, dice: &mut Dice) {
    assert_eq!(pass(iter::once(bytes), rules), *one_by_one, "all at once");
    assert_eq!(pass(cut(bytes, 12, dice), rules), *one_by_one, "in pieces");
}

/// A request as the second opinion reads it.
struct Read {
    head: http1::Head,
    body: http1::Body,
    passed: Passed,
    told: Told,
}

fn what_passes_is_sound(believed: &[Passed], passage: &Passage, grammar: Grammar) -> Vec<Read> {
    let stream: Vec<u8> =
        believed.iter().flat_map(|request| [&request.head[..], &request.body].concat()).collect();
    assert_eq!(stream, passage.bytes, "the requests are all that passes");
    assert_eq!(believed.len(), passage.told.len(), "each request is told once");
    let last = believed.len().saturating_sub(1);
    iter::zip(believed, &passage.told)
        .enumerate()
        .map(|(at, (request, told))| {
            let head = http1::head(&request.sent, grammar).expect("the head that was sent is sound");
            let any_method = Grammar {
                permit_unconventional_http_method: grammar.permit_unconventional_http_method,
                ..Grammar::default()
            };
            let given = http1::head(&request.head, any_method).expect("the head that hyper gets is sound");
            assert_eq!(
                (&given.method, &given.fields, given.framing),
                (&head.method, &head.fields, head.framing)
            );
            assert_eq!(given.version, served(head.version), "hyper knows 1.0 and 1.1");
            let odd = Some(head.version).filter(|&version| version != given.version);
            assert_eq!(told.sent_version, odd, "the version is kept");
            let body = http1::body(head.framing, &request.body).expect("what passed of the body is sound");
            let whole = body.length == Some(request.body.len());
            assert_eq!(request.whole, whole, "the body ends where the gate thinks it ends");
            assert!(whole || at == last, "a request follows a body that has not ended");
            assert!(!request.sealed || at == last, "a request follows the last one");
            assert!(body.length.is_none_or(|length| length == request.body.len()), "a body is too long");
            assert_eq!(told.raw_target.as_ref().unwrap_or(&given.target), &head.target, "the target is kept");
            assert_eq!(told.underscores, head.fields.iter().any(|(name, _)| name.contains('_')));
            if request.whole {
                assert_eq!(told.last, request.sealed, "the service knows that the connection ends");
            }
            Read { head, body, passed: request.clone(), told: told.clone() }
        })
        .collect()
}

/// The version as which a request is served.
fn served(version: (u8, u8)) -> (u8, u8) {
    if version < (1, 1) { (1, 0) } else { (1, 1) }
}

fn hyper_agrees(read: &[Read], passage: &Passage, outcome: &Outcome, manner: Manner) {
    let seen = &outcome.seen;
    assert!(seen.len() <= read.len(), "hyper sees a request that the gate does not");
    for (at, (request, seen)) in iter::zip(read, seen).enumerate() {
        same_request(request, seen, at, manner);
    }
    if let Some(first) = read.get(seen.len()) {
        let before = seen.len().checked_sub(1).map(|at| (&read[at], &seen[at]));
        let closes = before.is_some_and(|(request, seen)| may_close(request, seen));
        // Without half-close the client's end is the end of all that is not answered.
        let left = !manner.half_close;
        assert!(closes || left, "hyper does not see {:?}", String::from_utf8_lossy(&first.passed.head));
    }
    let statuses = statuses(&outcome.answers, seen);
    for (at, status) in statuses.iter().enumerate() {
        let expected = if seen[at].body == BodyEnd::Broken { 422 } else { 200 };
        assert_eq!(*status, expected, "an answer that is not the service's");
    }
    let unbroken = seen.iter().filter(|seen| seen.body != BodyEnd::Broken).count();
    assert!(statuses.len() >= unbroken || !manner.half_close, "an answer is missing");
    if let (Some(refused), true) = (outcome.refused, seen.len() == read.len()) {
        assert_eq!(passage.end, End::Refused(refused), "the refusal is the same");
    }
    if let End::Refused(status) = passage.end {
        let closes = iter::zip(read, seen).next_back().is_some_and(|(read, seen)| may_close(read, seen));
        let came = seen.len() == read.len() && !closes;
        assert!(!came || outcome.refused == Some(status), "a refusal is lost");
    }
}

fn same_request(read: &Read, seen: &Seen, at: usize, manner: Manner) {
    let Read { head, body, passed, told } = read;
    assert_eq!(seen.method.as_str(), head.method, "method of request {at}");
    assert_eq!(seen.fields, head.fields, "fields of request {at}");
    assert_eq!(&seen.told, told, "what the service is told of request {at}");
    let target = seen.told.raw_target.as_deref().unwrap_or(seen.target.as_bytes());
    assert_eq!(target, head.target, "target of request {at}");
    let version = if served(head.version) == (1, 0) { Version::HTTP_10 } else { Version::HTTP_11 };
    assert_eq!(seen.version, version, "version of request {at}");
    match seen.body {
        BodyEnd::Whole => {
            assert!(passed.whole, "hyper sees an end of body {at} that the gate does not");
            assert_eq!((&seen.data, &seen.trailers), (&body.data, &body.trailers), "body {at}");
        }
        BodyEnd::Broken => {
            assert!(!passed.whole, "hyper refuses body {at}");
            assert!(body.data.starts_with(&seen.data), "beginning of body {at}");
        }
        BodyEnd::Unread => assert!(!manner.reads),
    }
}

/// Whether the connection may end after this request.
fn may_close(read: &Read, seen: &Seen) -> bool {
    let close = |(name, value): &(String, Vec<u8>)| {
        name == "connection" && value.to_ascii_lowercase().windows(5).any(|window| window == b"close")
    };
    let unread = seen.body == BodyEnd::Unread && read.head.framing != Framing::Length(0);
    served(read.head.version) == (1, 0)
        || unread
        || read.told.last
        || seen.body == BodyEnd::Broken
        || seen.method == Method::CONNECT
        || read.head.fields.iter().any(close)
}

/// The statuses of the answers, 100 left out.
fn statuses(mut answers: &[u8], seen: &[Seen]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !answers.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = response.parse(answers) else {
            panic!("half an answer: {:?}", String::from_utf8_lossy(answers));
        };
        answers = &answers[length..];
        let status = response.code.expect("parsed");
        if status == 100 {
            continue;
        }
        let seen = seen.get(statuses.len()).expect("an answer without a request");
        statuses.push(status);
        let connected = seen.method == Method::CONNECT && status == 200;
        if seen.method != Method::HEAD && !connected {
            answers = answers.strip_prefix(b"ok").expect("the service's body");
        }
    }
    statuses
}
