//! An open WebSocket, from the handshake to the end of the connection.
//!
//! It runs in the connection's own task. The client is read while the app takes messages, and the app is asked for
//! more when all before was written, so each side is held up by the other.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use ferricorn_protocol::{End, Outgoing};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::decode::{Decoder, Event, may_be_sent};
use super::outbox::Outbox;
use super::party::{Panicked, Party};
use super::pulse::Member;
use super::scratch::Scratch;
use super::{Agreed, Fault, Opening};
use crate::gate::Gate;
use crate::timer::{Sleep, sleep};
use crate::worker::Worker;

/// How long a client has for its part of the closing handshake.
const CLOSING: Duration = Duration::from_secs(10);

/// How often a session goes round before it lets others have their turn.
const ROUNDS: usize = 16;

/// See the module's first line.
pub(crate) struct Session<S> {
    gate: Gate<S>,
    worker: Arc<Worker>,
    party: Party,
    deflate: Option<Agreed>,
    decoder: Decoder,
    outbox: Outbox,
    /// What was read and not decoded: the beginning of a frame, or what the app has no room for.
    carry: BytesMut,
    /// Whether `carry` may hold more than the beginning of a frame.
    stuck: bool,
    /// Whether the client is read.
    listens: bool,
    stage: Stage,
    /// The end of the closing handshake, if it has begun.
    deadline: Option<Sleep>,
    /// What the kernel still held when the client last did not answer a ping in time.
    queued: Option<usize>,
}

/// How far the closing handshake is (RFC 6455 section 7.1).
enum Stage {
    Open,
    /// The server's close frame is on its way, and this is what it says. The client's is awaited.
    Closing(End),
    /// No more is said or heard: what there is is written, and the connection closed.
    Over,
}

/// The connection cannot be used any more.
struct Lost;

/// Something was done, or there is nothing to do.
type Step = Result<Poll<()>, Lost>;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Takes the connection over, when the answer of the handshake is written. `read` is what hyper has read behind
    /// the request.
    pub(crate) fn new(mut gate: Gate<S>, read: &[u8], opening: Opening, worker: Arc<Worker>) -> Self {
        let mut carry = BytesMut::from(read);
        carry.unsplit(gate.switch());
        let Opening { party, deflate } = opening;
        Self {
            decoder: Decoder::new(worker.settings.websocket.max_message_size, deflate.is_some()),
            gate,
            worker,
            party,
            deflate,
            outbox: Outbox::default(),
            stuck: !carry.is_empty(),
            carry,
            listens: true,
            stage: Stage::Open,
            deadline: None,
            queued: None,
        }
    }

    /// Runs to the end of the connection.
    pub(crate) async fn run(mut self: Box<Self>) {
        let mut member = None;
        let ended = poll_fn(|cx| {
            let member = member.get_or_insert_with(|| Member::enter(&self.worker, cx));
            self.poll(member, cx)
        });
        if ended.await.is_ok() {
            let Self { party, gate, .. } = *self;
            drop(party);
            Box::pin(gate.hang_up(true)).await;
        }
    }

    fn poll(&mut self, member: &Member, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.heed(member, cx);
        for _ in 0..ROUNDS {
            let written = match self.outbox.poll_write(&mut self.gate, cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Lost)),
                Poll::Pending => false,
            };
            if matches!(self.stage, Stage::Over) {
                return if written { Poll::Ready(Ok(())) } else { self.poll_deadline(cx) };
            }
            let heard = self.poll_hear(member, cx)?;
            self.gate.listens(self.listens);
            if self.gate.has_left() && !self.listens {
                self.cut_off();
                return Poll::Ready(Err(Lost));
            }
            // A client that does not take what is written cannot be expected to answer a ping behind it.
            member.listens(written && self.listens);
            let said = if written { self.poll_say(cx) } else { Poll::Pending };
            if heard.is_pending() && said.is_pending() {
                return self.poll_deadline(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what the worker's pulse asks for.
    fn heed(&mut self, member: &Member, cx: &mut Context<'_>) {
        let asked = member.asked();
        if !matches!(self.stage, Stage::Open) {
            return;
        }
        if asked.leave {
            self.close(1012, "Service Restart");
        } else if asked.give_up && !self.takes() {
            self.fail(Fault { code: 1011, reason: "keepalive ping timeout" }, cx);
        } else if asked.give_up {
            member.heard();
        } else if asked.ping || (asked.probe && self.outbox.is_empty()) {
            self.outbox.ping();
        }
    }

    /// Whether a client that has not answered a ping in time is just slow to read what stands before it.
    fn takes(&mut self) -> bool {
        let queued = self.gate.untaken().filter(|&queued| queued > 0);
        let before = std::mem::replace(&mut self.queued, queued);
        queued.is_some() && queued != before
    }

    /// Reads and decodes what has come.
    fn poll_hear(&mut self, member: &Member, cx: &mut Context<'_>) -> Step {
        if !self.has_room(cx) {
            return Ok(Poll::Pending);
        }
        let mut scratch = Scratch::take(&self.carry);
        let mut end = self.carry.len();
        if !self.stuck {
            let mut buf = ReadBuf::new(&mut scratch.bytes()[end..]);
            let count = match self.gate.poll_read_unjudged(cx, &mut buf) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(_)) => 0,
                Poll::Ready(Ok(())) => buf.filled().len(),
            };
            if count == 0 {
                self.cut_off();
                return Err(Lost);
            }
            member.heard();
            end += count;
        }
        self.stuck = false;
        let mut used = 0;
        while used < end && !matches!(self.stage, Stage::Over) {
            if used > 0 && !self.has_room(cx) {
                self.stuck = true;
                break;
            }
            match self.decoder.decode(&mut scratch.bytes()[used..end]) {
                Ok((count, event)) => {
                    used += count;
                    match event {
                        Some(event) => self.hear(event, cx),
                        None => break,
                    }
                }
                Err(fault) => self.fail(fault, cx),
            }
        }
        self.carry.clear();
        if used == end || matches!(self.stage, Stage::Over) {
            // An idle WebSocket keeps no memory here.
            self.carry = BytesMut::new();
        } else {
            self.carry.extend_from_slice(&scratch.bytes()[used..end]);
        }
        Ok(Poll::Ready(()))
    }

    /// Whether another message can be taken. Once the end has begun none are kept, so there is always room.
    fn has_room(&mut self, cx: &mut Context<'_>) -> bool {
        self.listens = !matches!(self.stage, Stage::Open)
            || match self.party.poll_room(cx) {
                Ok(room) => room.is_ready(),
                Err(Panicked) => {
                    self.fail(PANIC, cx);
                    true
                }
            };
        self.listens
    }

    fn hear(&mut self, event: Event, cx: &mut Context<'_>) {
        if matches!(event, Event::Close(_)) {
            self.say_last(cx);
        }
        let open = matches!(self.stage, Stage::Open);
        match event {
            Event::Message(message) if open => {
                if let Err(Panicked) = self.party.receive(message) {
                    self.fail(PANIC, cx);
                }
            }
            Event::Ping(payload) if open => self.outbox.pong(payload),
            Event::Message(_) | Event::Ping(_) | Event::Pong => {}
            Event::Close(said) => {
                if open {
                    // The code is sent back, as is usual (RFC 6455 section 5.5.1).
                    self.outbox.close(said.as_ref().map(|(code, _)| *code), "");
                }
                let (code, reason) = said.unwrap_or((1005, String::new()));
                self.over(End { code, reason });
            }
        }
    }

    /// Gathers what the app has to say, until it has no more or that is enough for one write.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut said = Poll::Pending;
        while matches!(self.stage, Stage::Open) && !self.outbox.is_full() {
            match self.party.poll_next(cx) {
                Ok(Poll::Pending) => break,
                Ok(Poll::Ready(Outgoing::Message(message))) => self.outbox.message(message, self.deflate),
                Ok(Poll::Ready(Outgoing::Close { code, reason })) => {
                    // Other codes have no meaning in a close frame, and a client would take offence.
                    let code = if may_be_sent(code) { code } else { 1011 };
                    self.begin_close(code, &reason);
                }
                // The client must not take it for a failure: a bridge whose app has failed says so with a close.
                Ok(Poll::Ready(Outgoing::Gone)) => self.begin_close(1000, ""),
                Err(Panicked) => self.fail(PANIC, cx),
            }
            said = Poll::Ready(());
        }
        said
    }

    /// Lets the app's answers to what it heard before go before the close frame, as far as it has them.
    fn say_last(&mut self, cx: &mut Context<'_>) {
        let _ = self.poll_say(cx);
    }

    /// Sends a close frame, and waits for the client's.
    fn begin_close(&mut self, code: u16, reason: &str) {
        self.outbox.close(Some(code), reason);
        self.deadline = Some(sleep(CLOSING));
        self.stage = Stage::Closing(End { code, reason: reason.to_owned() });
    }

    /// The same, for an end that the app did not choose, and hears of at once.
    fn close(&mut self, code: u16, reason: &str) {
        self.begin_close(code, reason);
        self.party.end(End { code, reason: reason.to_owned() });
    }

    /// Ends a WebSocket that broke a rule: the client's close frame is not waited for.
    fn fail(&mut self, fault: Fault, cx: &mut Context<'_>) {
        self.say_last(cx);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Open => {
                tracing::debug!("Closing a WebSocket with {}: {}", fault.code, fault.reason);
                self.outbox.close(Some(fault.code), fault.reason);
                self.over(End { code: fault.code, reason: fault.reason.to_owned() });
            }
            Stage::Closing(own) => self.over(own),
            Stage::Over => {}
        }
    }

    fn over(&mut self, end: End) {
        self.party.end(end);
        self.stage = Stage::Over;
        self.deadline.get_or_insert_with(|| sleep(CLOSING));
    }

    /// The client has left without a close frame.
    fn cut_off(&mut self) {
        let end = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Closing(own) => own,
            Stage::Open | Stage::Over => End { code: 1006, reason: String::new() },
        };
        self.party.end(end);
    }

    /// Waits for something to do, at most as long as the closing handshake may take.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        if let Some(deadline) = &mut self.deadline {
            ready!(Pin::new(deadline).poll(cx));
            self.cut_off();
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

/// What the client hears of a panic in the app.
const PANIC: Fault = Fault { code: 1011, reason: "Internal Error" };
