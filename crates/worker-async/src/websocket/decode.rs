//! Frames of a client in, messages out (RFC 6455 section 5): whatever the rules forbid ends the WebSocket.
//!
//! Data is unmasked and checked as it arrives, and grows with what has arrived, not with what a header announces.

use std::io::Cursor;

use bytes::Bytes;
use ferricorn_protocol::Message;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::Fault;
use super::deflate::Inflater;

/// The longest payload of a control frame (RFC 6455 section 5.5).
pub(super) const CONTROL: usize = 125;

/// In how many fragments a message may come, whatever their size. Above it they must have [`FRAGMENT`] bytes on the
/// average: fragments cost time, and are for pieces of some size.
const FRAGMENTS: u64 = 16_384;
/// See [`FRAGMENTS`].
const FRAGMENT: u64 = 16;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Message(Message),
    Ping(Bytes),
    Pong,
    /// A close frame: its code, if it has one, and its reason.
    Close(Option<(u16, String)>),
}

/// Reads the frames of one client.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The most bytes of a message.
    limit: usize,
    /// Whether messages may be compressed.
    deflate: bool,
    /// The data frame whose payload is being read.
    frame: Option<Frame>,
    /// The message that has begun. Boxed, since most sockets wait for one most of the time.
    partial: Option<Box<Partial>>,
}

/// A data frame under way.
#[derive(Debug)]
struct Frame {
    left: u64,
    /// The mask, turned so that it begins with the next byte.
    mask: [u8; 4],
    last: bool,
}

/// A message under way.
#[derive(Debug)]
struct Partial {
    text: bool,
    inflater: Option<Inflater>,
    bytes: Vec<u8>,
    /// How many of `bytes` are known to be valid, if they are text.
    valid: usize,
    fragments: u64,
    /// Payload that the frames so far announced.
    announced: u64,
}

impl Decoder {
    /// A decoder for messages of at most `limit` bytes, if there is a limit.
    pub(super) fn new(limit: Option<u64>, deflate: bool) -> Self {
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        Self { limit, deflate, frame: None, partial: None }
    }

    /// Reads what stands at the beginning of `bytes`: gives how much it used, and what it found. Without a find,
    /// it is to be called again with the rest and more.
    ///
    /// # Errors
    /// The rule that the client breaks.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<(usize, Option<Event>), Fault> {
        let mut used = 0;
        loop {
            let ahead = &mut bytes[used..];
            if let Some(frame) = &mut self.frame {
                let take = usize::try_from(frame.left).map_or(ahead.len(), |left| left.min(ahead.len()));
                let piece = &mut ahead[..take];
                unmask(piece, &mut frame.mask);
                frame.left -= take as u64;
                let (ends, last) = (frame.left == 0, frame.last);
                used += take;
                if ends {
                    self.frame = None;
                }
                if let Some(message) = self.data(piece, ends && last)? {
                    return Ok((used, Some(Event::Message(message))));
                }
                if !ends {
                    return Ok((used, None));
                }
                continue;
            }
            let mut cursor = Cursor::new(&*ahead);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Fault::protocol("a reserved opcode"))?;
            let Some((header, length)) = parsed else { return Ok((used, None)) };
            let begin = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
            let mask = self.check(&header, length)?;
            match header.opcode {
                OpCode::Control(control) => {
                    // It was checked to be short.
                    let end = begin + usize::try_from(length).unwrap_or(CONTROL);
                    let Some(payload) = ahead.get_mut(begin..end) else { return Ok((used, None)) };
                    unmask(payload, &mut { mask });
                    let event = event(control, payload)?;
                    return Ok((used + end, Some(event)));
                }
                OpCode::Data(data) => {
                    if let Some((length, message)) =
                        self.at_once(data, &header, length, mask, ahead, begin)?
                    {
                        return Ok((used + length, Some(Event::Message(message))));
                    }
                    used += begin;
                    self.begin(data, &header, length)?;
                    self.frame = Some(Frame { left: length, mask, last: header.is_final });
                }
            }
        }
    }

    /// The rules for every frame (RFC 6455 sections 5.1, 5.2 and 5.5); gives the mask.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<[u8; 4], Fault> {
        if header.rsv2 || header.rsv3 {
            return Err(Fault::protocol("a reserved bit is set"));
        }
        // The bit of a compressed message stands in its first frame (RFC 7692 section 6).
        if header.rsv1 && !(self.deflate && matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary)))
        {
            return Err(Fault::protocol("a reserved bit is set"));
        }
        if matches!(header.opcode, OpCode::Control(_)) {
            if !header.is_final {
                return Err(Fault::protocol("a control frame is fragmented"));
            }
            if length > CONTROL as u64 {
                return Err(Fault::protocol("a control frame is longer than 125 bytes"));
            }
        }
        if i64::try_from(length).is_err() {
            return Err(Fault::protocol("the length of a frame is negative"));
        }
        header.mask.ok_or(Fault::protocol("a frame is not masked"))
    }

    /// The usual message: one frame, not compressed, that is there as a whole. Gives its length with its header, which
    /// ends at `begin`.
    fn at_once(
        &self,
        data: Data,
        header: &FrameHeader,
        length: u64,
        mut mask: [u8; 4],
        ahead: &mut [u8],
        begin: usize,
    ) -> Result<Option<(usize, Message)>, Fault> {
        let plain = header.is_final && !header.rsv1 && data != Data::Continue && self.partial.is_none();
        let end = usize::try_from(length).ok().and_then(|length| begin.checked_add(length));
        let fits = length <= self.limit as u64;
        let payload = end.filter(|_| plain && fits).and_then(|end| ahead.get_mut(begin..end));
        let (Some(end), Some(payload)) = (end, payload) else { return Ok(None) };
        unmask(payload, &mut mask);
        if data == Data::Text && std::str::from_utf8(payload).is_err() {
            return Err(NOT_TEXT);
        }
        Ok(Some((end, kind(data == Data::Text, Bytes::copy_from_slice(payload)))))
    }

    /// A data frame begins.
    fn begin(&mut self, data: Data, header: &FrameHeader, length: u64) -> Result<(), Fault> {
        let partial = match (data, &mut self.partial) {
            (Data::Continue, Some(partial)) => partial,
            (Data::Continue, None) => return Err(Fault::protocol("a continuation of nothing")),
            (_, Some(_)) => return Err(Fault::protocol("a new message within another")),
            (data, none @ None) => none.insert(Box::new(Partial {
                text: data == Data::Text,
                inflater: header.rsv1.then(Inflater::new),
                bytes: Vec::new(),
                valid: 0,
                fragments: 0,
                announced: 0,
            })),
        };
        partial.fragments += 1;
        partial.announced = partial.announced.saturating_add(length);
        if partial.announced > partial.most_bytes(self.limit) {
            return Err(Fault::too_big("the message is larger than --websocket-max-message-size"));
        }
        if partial.fragments > FRAGMENTS && partial.announced / partial.fragments < FRAGMENT {
            return Err(Fault::too_big("the message has too many small fragments"));
        }
        Ok(())
    }

    /// Adds a piece to the message; gives it if that was the last one.
    fn data(&mut self, piece: &[u8], last: bool) -> Result<Option<Message>, Fault> {
        let Some(partial) = &mut self.partial else { return Ok(None) };
        match &mut partial.inflater {
            Some(inflater) => inflater.add(piece, &mut partial.bytes, self.limit)?,
            None => partial.append(piece, self.frame.as_ref().map_or(0, |frame| frame.left)),
        }
        if last && let Some(inflater) = partial.inflater.take() {
            inflater.end(&mut partial.bytes, self.limit)?;
        }
        partial.check_text(last)?;
        let whole = if last { self.partial.take() } else { None };
        Ok(whole.map(|partial| kind(partial.text, Bytes::from(partial.bytes))))
    }
}

/// The message is no text.
const NOT_TEXT: Fault = Fault::data("the text is not valid UTF-8");

impl Partial {
    /// How much payload the frames may have, if the message may have `limit` bytes. Data that cannot be compressed
    /// grows a little by the attempt.
    fn most_bytes(&self, limit: usize) -> u64 {
        let limit = limit as u64;
        if self.inflater.is_some() { limit.saturating_mul(2).saturating_add(1024) } else { limit }
    }

    /// Adds bytes, of which `left` more are announced. There is room for what has come already once more, and no room
    /// for more than is announced.
    fn append(&mut self, piece: &[u8], left: u64) {
        let spare = self.bytes.capacity() - self.bytes.len();
        if spare < piece.len() {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let more = left.min(self.bytes.len().max(piece.len()));
            self.bytes.reserve_exact(piece.len().saturating_add(more));
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Checks what was added to a text; its end may be half a character, unless it is the last piece.
    fn check_text(&mut self, last: bool) -> Result<(), Fault> {
        if !self.text {
            return Ok(());
        }
        match std::str::from_utf8(&self.bytes[self.valid..]) {
            Ok(_) => self.valid = self.bytes.len(),
            Err(error) if error.error_len().is_none() && !last => self.valid += error.valid_up_to(),
            Err(_) => return Err(NOT_TEXT),
        }
        Ok(())
    }
}

fn kind(text: bool, bytes: Bytes) -> Message {
    if text { Message::Text(bytes) } else { Message::Binary(bytes) }
}

/// What a control frame says.
fn event(control: Control, payload: &[u8]) -> Result<Event, Fault> {
    match control {
        Control::Ping => Ok(Event::Ping(Bytes::copy_from_slice(payload))),
        Control::Pong => Ok(Event::Pong),
        Control::Close => close(payload).map(Event::Close),
        Control::Reserved(_) => Err(Fault::protocol("a reserved opcode")),
    }
}

/// The payload of a close frame (RFC 6455 section 5.5.1).
fn close(payload: &[u8]) -> Result<Option<(u16, String)>, Fault> {
    let [high, low, reason @ ..] = payload else {
        let fault = Fault::protocol("a close frame with half a code");
        return if payload.is_empty() { Ok(None) } else { Err(fault) };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !may_be_sent(code) {
        return Err(Fault::protocol("a close frame with a code that none may have"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Fault::data("the reason is not valid UTF-8"))?;
    Ok(Some((code, reason.to_owned())))
}

/// Whether a close frame may have the code (RFC 6455 section 7.4 and the registry that it founds).
pub(super) fn may_be_sent(code: u16) -> bool {
    // tungstenite does not know 1014, "Bad Gateway".
    code == 1014 || CloseCode::from(code).is_allowed()
}

/// Takes the mask off, and turns it for the byte that follows.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let word = u64::from(u32::from_ne_bytes(*mask));
    let word = word << 32 | word;
    let mut words = bytes.chunks_exact_mut(8);
    for eight in &mut words {
        let masked = u64::from_ne_bytes([
            eight[0], eight[1], eight[2], eight[3], eight[4], eight[5], eight[6], eight[7],
        ]);
        eight.copy_from_slice(&(masked ^ word).to_ne_bytes());
    }
    let rest = words.into_remainder();
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    mask.rotate_left(rest.len() % 4);
}
