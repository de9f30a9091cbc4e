//! WebSockets: literal frames in, literal frames out, and an app whose every word the test says.

mod closing;
mod deflate;
mod early;
mod frames;
mod handshake;
mod life;
mod limits;
mod pressure;

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use ferricorn_config::Settings;
use ferricorn_protocol::{Conversation, End, Message, Outgoing, Request, ResponseBody};

use super::app::{TestApp, answer, full, head};
use super::{Client, PATIENCE, Server};

/// The key of the RFC's example, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

/// What an app of a test heard, and what it will say.
#[derive(Default)]
struct Words {
    said: VecDeque<Outgoing>,
    heard: Vec<Message>,
    ended: Vec<End>,
    echoes: bool,
    full: bool,
    /// How many WebSockets the app consented to; it is the last one that counts.
    sockets: usize,
    wakers: Vec<Waker>,
}

/// An app, as the test holds it.
#[derive(Clone, Default)]
struct Script(Arc<(Mutex<Words>, Condvar)>);

impl Script {
    fn echo() -> Self {
        let script = Self::default();
        script.change(|words| words.echoes = true);
        script
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.0.0.lock().unwrap()
    }

    /// Changes something, and wakes whoever waits for that.
    fn change<T>(&self, change: impl FnOnce(&mut Words) -> T) -> T {
        let mut words = self.words();
        let result = change(&mut words);
        words.wakers.drain(..).for_each(Waker::wake);
        self.0.1.notify_all();
        result
    }

    fn say(&self, word: Outgoing) {
        self.change(|words| words.said.push_back(word));
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Words) -> bool) {
        let words = self.words();
        let waited = self.0.1.wait_timeout_while(words, PATIENCE, |words| !holds(words)).unwrap();
        assert!(!waited.1.timed_out(), "{what} did not happen");
    }

    /// How the WebSocket ended, which the app hears once.
    fn end(&self) -> (u16, String) {
        self.wait_until("the end", |words| !words.ended.is_empty());
        let words = self.words();
        assert_eq!(words.ended.len(), 1, "{:?}", words.ended);
        (words.ended[0].code, words.ended[0].reason.clone())
    }

    /// An app that consents to every WebSocket, and answers everything else with a word.
    fn app(&self) -> TestApp {
        let script = self.clone();
        TestApp::in_task(move |request| match &request.websocket {
            Some(_) => answer(head(200, &[]), script.consent()),
            None => full("no WebSocket"),
        })
    }

    fn consent(&self) -> ResponseBody {
        let number = self.change(|words| {
            words.sockets += 1;
            words.heard.clear();
            words.ended.clear();
            words.sockets
        });
        ResponseBody::WebSocket(Box::new(Talk { script: self.clone(), number, echoes: VecDeque::new() }))
    }

    fn serve(&self) -> Server {
        Server::new(self.app())
    }

    fn serve_with(&self, change: impl FnOnce(&mut Settings)) -> Server {
        Server::with(self.app(), change)
    }
}

/// One WebSocket of a script.
struct Talk {
    script: Script,
    number: usize,
    echoes: VecDeque<Message>,
}

impl Talk {
    /// Notes something, if this is the last WebSocket.
    fn note(&self, note: impl FnOnce(&mut Words)) {
        self.script.change(|words| {
            if words.sockets == self.number {
                note(words);
            }
        });
    }
}

impl Conversation for Talk {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut words = self.script.words();
        if words.full {
            words.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn receive(&mut self, message: Message) {
        if self.script.words().echoes {
            self.echoes.push_back(message.clone());
        }
        self.note(|words| {
            assert!(words.ended.is_empty(), "a message behind the end");
            words.heard.push(message);
        });
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        if let Some(message) = self.echoes.pop_front() {
            return Poll::Ready(Outgoing::Message(message));
        }
        let mut words = self.script.words();
        match words.said.pop_front() {
            Some(word) => Poll::Ready(word),
            None => {
                words.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn ended(&mut self, end: End) {
        self.note(|words| words.ended.push(end));
    }
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned().into())
}

/// A request for a WebSocket with these further header lines.
fn request(lines: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

/// A frame as a client sends it, with its first byte as it stands.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

impl Server {
    /// A client whose WebSocket is open.
    fn websocket(&self, lines: &str) -> Client {
        let mut client = self.client();
        client.send(request(lines).as_bytes());
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        client
    }
}

impl Client {
    /// Reads one head, and no further.
    fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend_from_slice(&self.read_exactly(1));
        }
        String::from_utf8(head).unwrap()
    }

    fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the server said nothing more");
        bytes
    }

    /// Reads one frame of the server: its first byte and its payload.
    fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let start = self.read_exactly(2);
        assert_eq!(start[1] & 0x80, 0, "a server masks nothing");
        let length = match start[1] {
            126 => u64::from(u16::from_be_bytes(self.read_exactly(2).try_into().unwrap())),
            127 => u64::from_be_bytes(self.read_exactly(8).try_into().unwrap()),
            length => u64::from(length),
        };
        (start[0], self.read_exactly(usize::try_from(length).unwrap()))
    }

    #[track_caller]
    fn expect(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let (found, bytes) = self.read_frame();
        let (bytes, payload) = (String::from_utf8_lossy(&bytes), String::from_utf8_lossy(payload.as_ref()));
        assert_eq!((found, bytes), (first, payload));
    }

    /// Reads a close frame, and then the end of the connection.
    #[track_caller]
    fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.read_frame();
        assert_eq!(first, FIN | CLOSE);
        assert_eq!(
            u16::from_be_bytes([payload[0], payload[1]]),
            code,
            "{}",
            String::from_utf8_lossy(&payload)
        );
        assert_eq!(self.read_to_end(), "");
    }
}

/// A request that the app of a test got.
fn subprotocols(request: &Request) -> Vec<String> {
    request.websocket.as_ref().unwrap().subprotocols.clone()
}
