//! Messages in a stream, to a daemon that may be slow or away: they wait within bounds, and beyond them they are lost
//! and counted.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use nix::libc::MSG_NOSIGNAL;
use socket2::{SockAddr, Socket, Type};

use super::address::Target;

/// Bytes that wait for the daemon at most, beside what the kernel holds.
const WAITING: usize = 64 * 1024;
/// How long a process waits for its first connection, before it serves anybody. Later none is waited for.
const FIRST: Duration = Duration::from_secs(1);
/// The pause after an attempt that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection to one address, made anew by each process: two would mix their messages in one.
#[derive(Debug)]
pub(super) struct Stream {
    target: Target,
    /// What ends a message.
    end: u8,
    /// The process that the rest is of.
    pid: u32,
    socket: Option<Socket>,
    waiting: Vec<u8>,
    /// Whether the first bytes that wait are the rest of a message.
    cut: bool,
    /// Messages that were lost since this was told last.
    lost: u64,
    /// When the next connection may be tried; none if none has failed yet.
    retry: Option<Instant>,
}

impl Stream {
    pub(super) fn new(target: Target, end: u8) -> Self {
        let pid = std::process::id();
        Self { target, end, pid, socket: None, waiting: Vec::new(), cut: false, lost: 0, retry: None }
    }

    /// Sends a message, or lets it wait. An error says that the daemon is not there.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if self.pid != std::process::id() {
            *self = Self::new(self.target.clone(), self.end);
        }
        if self.waiting.len() + message.len() > WAITING {
            self.lost += 1;
        } else {
            self.keep(message);
        }
        self.flush()
    }

    /// Messages that were lost, to be told as soon as there is room again.
    pub(super) fn take_lost(&mut self) -> Option<u64> {
        let told = self.lost > 0 && self.waiting.is_empty() && self.socket.is_some();
        told.then(|| std::mem::take(&mut self.lost))
    }

    fn keep(&mut self, message: &[u8]) {
        for part in message.split_inclusive(|&byte| byte == self.end) {
            match part.strip_suffix(&[self.end]) {
                // As rsyslog shows a character that would end the message.
                Some(text) => {
                    self.waiting.extend_from_slice(text);
                    self.waiting.extend_from_slice(format!("#{:03o}", self.end).as_bytes());
                }
                None => self.waiting.extend_from_slice(part),
            }
        }
        self.waiting.push(self.end);
    }

    /// Writes what waits, as far as it is taken.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let written = self.write();
        if written.is_err() {
            self.socket = None;
            self.retry = Some(Instant::now() + PAUSE);
            if std::mem::take(&mut self.cut) {
                // Its beginning went to the connection that is gone.
                let rest = self.waiting.iter().position(|&byte| byte == self.end);
                self.waiting.drain(..rest.map_or(self.waiting.len(), |at| at + 1));
                self.lost += 1;
            }
        }
        written
    }

    fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => match self.retry {
                Some(retry) if Instant::now() < retry => return Err(io::ErrorKind::NotConnected.into()),
                Some(_) => none.insert(connecting(&self.target.address()?)?),
                None => none.insert(connected(&self.target.address()?)?),
            },
        };
        // A daemon that has closed the connection would be told of by the write after the next.
        match socket.read(&mut [0; 64]) {
            Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
            Err(error) if !waits(&error) => return Err(error),
            _ => {}
        }
        while !self.waiting.is_empty() {
            match socket.send_with_flags(&self.waiting, MSG_NOSIGNAL) {
                Ok(count) => {
                    self.cut = self.waiting[..count].last() != Some(&self.end);
                    self.waiting.drain(..count);
                }
                Err(error) if waits(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether the daemon only needs time: to accept, or to read. The kernel says of a connection that is on its way that
/// it is not connected.
fn waits(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::NotConnected
    )
}

/// The first connection of a process.
fn connected(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.connect_timeout(address, FIRST)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A connection that may still be on its way.
fn connecting(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    fn to(listener: &TcpListener) -> Stream {
        Stream::new(Target::Address(listener.local_addr().unwrap().into()), b'\n')
    }

    #[test]
    fn each_message_ends_with_a_line_and_holds_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = to(&listener);
        stream.send(b"one\ntwo").unwrap();
        stream.send(b"three").unwrap();
        let mut lines = BufReader::new(listener.accept().unwrap().0).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "one#012two");
        assert_eq!(lines.next().unwrap().unwrap(), "three");
    }

    #[test]
    fn what_a_slow_daemon_does_not_take_is_lost_and_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = to(&listener);
        let message = [b'x'; 8000];
        let mut sent = 0_u64;
        while stream.lost < 3 {
            stream.send(&message).unwrap();
            sent += 1;
            assert!(sent < 10_000, "the kernel takes all of it");
        }
        assert_eq!(stream.take_lost(), None, "there is no room to tell it");
        let mut lines = BufReader::new(listener.accept().unwrap().0).lines();
        let mut whole = 0;
        while whole < sent - 3 {
            assert_eq!(lines.next().unwrap().unwrap().len(), 8000);
            whole += 1;
            stream.flush().unwrap();
        }
        assert_eq!(stream.take_lost(), Some(3));
    }

    #[test]
    fn a_daemon_that_is_started_again_is_found_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = to(&listener);
        stream.send(b"one").unwrap();
        drop(listener.accept().unwrap());
        // The end of the connection may take a moment to arrive.
        while stream.send(b"lost").is_ok() {}
        stream.retry = Some(Instant::now());
        stream.flush().unwrap();
        let mut line = String::new();
        BufReader::new(listener.accept().unwrap().0).read_line(&mut line).unwrap();
        assert_eq!(line, "lost\n");
    }

    #[test]
    fn a_daemon_that_is_not_there_is_an_error_and_not_tried_at_once_again() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut stream = Stream::new(Target::Address(nobody.into()), b'\n');
        assert_eq!(stream.send(b"one").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(stream.send(b"two").unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
