//! Where in the stream of requests a connection stands: in a head, in a body, or behind its last request.

use bytes::Bytes;

use super::chunked::{ChunkScanner, Fault};
use super::fields::Framing;
use super::head::{Head, HeadScanner, Scan};
use super::mend::{self, Mender};
use super::refusal::Refusal;
use super::rules::HeadRules;
use super::shared::{HeadFacts, Shared};

#[derive(Debug)]
enum State {
    /// At a head.
    Head,
    /// At a head that must be repaired.
    Mend(Box<Mender>),
    /// In a body that has so many bytes left.
    Length(u64),
    /// In a chunked body.
    Chunked(ChunkScanner),
    /// Behind a request for a WebSocket that is not answered: what follows may be frames.
    Held,
    /// No further request may follow.
    Sealed,
}

/// Follows one connection's bytes from head to head.
#[derive(Debug)]
pub(crate) struct Track {
    rules: HeadRules,
    state: State,
    scanner: HeadScanner,
    /// Whether the connection ends with the body that is being read.
    last: bool,
}

/// What may pass of the bytes that were shown.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// So many bytes from the beginning.
    pub(crate) pass: usize,
    /// What the others are.
    pub(crate) rest: Rest,
}

/// What the bytes are that may not pass.
#[derive(Debug)]
pub(crate) enum Rest {
    /// Nothing, or the beginning of a head, to be shown again with what follows.
    Unfinished,
    /// A good head that hyper needs in another form, and what follows it. It counts as passed.
    Rewrite(Rewrite),
    /// Something that is to be dropped, as is all that follows it.
    Refused(Refusal),
    /// A body that is broken at its beginning.
    Broken(Fault),
    /// What came behind the last request.
    Surplus,
}

/// A head in the form in which hyper needs it.
#[derive(Debug)]
pub(crate) struct Rewrite {
    /// So many bytes as they were received.
    pub(crate) length: usize,
    /// What stands in their place.
    pub(crate) head: Vec<u8>,
}

impl Track {
    pub(crate) fn new(rules: HeadRules) -> Self {
        Self { rules, state: State::Head, scanner: HeadScanner::default(), last: false }
    }

    /// The rules that it goes by.
    pub(super) fn rules(&self) -> &HeadRules {
        &self.rules
    }

    /// Whether bytes of a body are still to come.
    pub(crate) fn in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_))
    }

    /// Whether no further request may follow.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.state, State::Sealed)
    }

    /// Whether nothing is judged before the request for a WebSocket is answered.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.state, State::Held)
    }

    /// The request for a WebSocket was answered, and not with one.
    pub(crate) fn resume(&mut self) {
        self.leave_body();
    }

    /// Judges bytes. They begin with those that the last call left as [`Rest::Unfinished`].
    #[inline]
    pub(crate) fn admit(&mut self, bytes: &[u8], shared: &Shared) -> Admitted {
        let mut pass = 0;
        loop {
            let ahead = &bytes[pass..];
            match &mut self.state {
                State::Sealed if ahead.is_empty() => break,
                State::Sealed => return Admitted { pass, rest: Rest::Surplus },
                _ if ahead.is_empty() => break,
                State::Held => break,
                State::Head => match self.scanner.scan(ahead, &self.rules) {
                    Scan::Incomplete => break,
                    Scan::Refused(refusal) if mend::may_help(refusal, &self.rules) => {
                        self.state = State::Mend(Box::default());
                    }
                    Scan::Refused(refusal) => return Admitted { pass, rest: Rest::Refused(refusal) },
                    Scan::Whole(head) => {
                        self.enter_body(&head);
                        shared.pass(facts(&head, ahead));
                        if head.rewrite {
                            let length = head.length;
                            let head = head.rewritten(ahead, self.rules.grammar);
                            return Admitted { pass, rest: Rest::Rewrite(Rewrite { length, head }) };
                        }
                        pass += head.length;
                    }
                },
                State::Mend(mender) => match mender.mend(ahead, &self.rules) {
                    Ok(None) => break,
                    Ok(Some((length, head))) => {
                        return Admitted { pass, rest: self.mended(length, head, shared) };
                    }
                    Err(refusal) => return Admitted { pass, rest: Rest::Refused(refusal) },
                },
                State::Length(left) => {
                    let taken = usize::try_from(*left).map_or(ahead.len(), |left| left.min(ahead.len()));
                    pass += taken;
                    *left -= taken as u64;
                    if *left == 0 {
                        self.leave_body();
                    }
                }
                State::Chunked(chunks) => match chunks.consume(ahead, &self.rules) {
                    Ok(taken) => {
                        pass += taken;
                        if chunks.is_done() {
                            self.leave_body();
                        }
                    }
                    Err((taken, fault)) => {
                        return Admitted { pass: pass + taken, rest: Rest::Broken(fault) };
                    }
                },
            }
        }
        Admitted { pass, rest: Rest::Unfinished }
    }

    /// Judges a repaired head, which had this length when it was received.
    #[cold]
    fn mended(&mut self, length: usize, mended: Vec<u8>, shared: &Shared) -> Rest {
        match HeadScanner::default().scan(&mended, &self.rules) {
            // All of it must be one head, or hyper would see another request behind it.
            Scan::Whole(head) if head.length == mended.len() => {
                self.enter_body(&head);
                shared.pass(facts(&head, &mended));
                let head = if head.rewrite { head.rewritten(&mended, self.rules.grammar) } else { mended };
                Rest::Rewrite(Rewrite { length, head })
            }
            Scan::Refused(refusal) => Rest::Refused(refusal),
            Scan::Whole(_) | Scan::Incomplete => Rest::Refused(Refusal::bad("a header is not valid")),
        }
    }

    fn enter_body(&mut self, head: &Head) {
        self.scanner = HeadScanner::default();
        self.last = head.last;
        match head.framing {
            Framing::None if head.websocket => self.state = State::Held,
            Framing::None => self.leave_body(),
            Framing::Length(length) => self.state = State::Length(length),
            Framing::Chunked => self.state = State::Chunked(ChunkScanner::new()),
        }
    }

    fn leave_body(&mut self) {
        self.state = if self.last { State::Sealed } else { State::Head };
    }
}

/// What is worth noting of a head; nothing of an ordinary one.
#[inline]
fn facts(head: &Head, bytes: &[u8]) -> Option<HeadFacts> {
    if !(head.keep_target || head.underscores || head.last || head.rewrite || head.websocket) {
        return None;
    }
    let sent_version = Some(head.version).filter(|version| !matches!(version, (1, 0 | 1)));
    let raw_target = head.keep_target.then(|| Bytes::copy_from_slice(&bytes[head.target.clone()]));
    Some(HeadFacts {
        raw_target,
        sent_version,
        underscores: head.underscores,
        last: head.last,
        websocket: head.websocket,
    })
}
