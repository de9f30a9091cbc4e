//! What the clients of the benchmarks share: a plain HTTP/1.1 connection, and the line in which they report.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{Write, stdout};
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whatever ends a client.
pub type Fault = Box<dyn Error + Send + Sync>;

/// The body that every server is to answer with.
const BODY: &[u8] = b"Hello, world!";

/// One connection, which is kept alive as long as the server likes.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Whether another request may be sent.
    pub open: bool,
}

impl Client {
    /// Connects to that port of this machine.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(port: u16) -> Result<Self, Fault> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(1024), open: true })
    }

    /// Asks for a page, and gives how many bytes came.
    ///
    /// # Errors
    /// The connection ended, or the answer is not a 200 with `Hello, world!`.
    pub async fn ask(&mut self, path: &str) -> Result<usize, Fault> {
        self.buffer.clear();
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        while !self.buffer.ends_with(BODY) {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server ended the connection".into());
            }
        }
        if !self.buffer.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("the answer is {:?}", String::from_utf8_lossy(&self.buffer)).into());
        }
        let head = String::from_utf8_lossy(&self.buffer).to_ascii_lowercase();
        self.open = !head.contains("\r\nconnection: close\r\n");
        Ok(self.buffer.len())
    }

    /// Whether the request met the end of the connection before a byte of the answer.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// Prints the line of `rig/wrk.lua`: the word RESULT, answers, microseconds, the median and the 99th percentile of
/// `times` in microseconds, none that were not answered with success, those that failed, and bytes.
///
/// # Errors
/// Nobody reads it.
pub fn report(
    answers: usize,
    took: Duration,
    times: &mut [Duration],
    failed: usize,
    bytes: usize,
) -> Result<(), Fault> {
    times.sort_unstable();
    let (p50, p99) = (percentile(times, 50), percentile(times, 99));
    writeln!(stdout(), "RESULT {answers} {} {p50:.1} {p99:.1} 0 {failed} {bytes}", took.as_micros())?;
    Ok(())
}

/// In microseconds, of sorted times.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
