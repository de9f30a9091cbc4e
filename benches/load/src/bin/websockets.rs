//! Asks a server's WebSockets for echoes, and ends at the first that is wrong.
//!
//! `websockets PORT CLIENTS SECONDS`: each client sends a text of 64 bytes, different each time, and the next one when
//! the echo has come. No extension is offered. The one line at the end is that of `rig/wrk.lua`: the word RESULT,
//! echoes, microseconds, their median and 99th percentile in microseconds, zeroes for the failures that end this
//! program, and bytes.

#![forbid(unsafe_code)]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use load::{Fault, report};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Bytes of a message.
const TEXT: usize = 64;

/// How long the last echoes may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, clients, seconds] = words.as_slice() else {
        return Err("usage: websockets PORT CLIENTS SECONDS".into());
    };
    let (port, clients, seconds) = (port.parse()?, clients.parse::<usize>()?, seconds.parse()?);
    let mut open = Vec::with_capacity(clients);
    for _ in 0..clients {
        open.push(connect(port).await?);
    }
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let mut work = JoinSet::new();
    for (number, socket) in open.into_iter().enumerate() {
        work.spawn(ask(socket, number, end));
    }
    let mut times = Vec::new();
    let late = tokio::time::Instant::from_std(end + PATIENCE);
    while let Some(one) = tokio::time::timeout_at(late, work.join_next()).await? {
        times.extend(one??);
    }
    let (took, echoes) = (start.elapsed(), times.len());
    report(echoes, took, &mut times, 0, echoes * TEXT)
}

async fn connect(port: u16) -> Result<WebSocketStream<TcpStream>, Fault> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    // The buffer is cleared before each read, and the default one is so large that this costs more than all else.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let (socket, _) =
        client_async_with_config(format!("ws://127.0.0.1:{port}/"), stream, Some(config)).await?;
    Ok(socket)
}

/// The time of each echo.
async fn ask(
    mut socket: WebSocketStream<TcpStream>,
    client: usize,
    end: Instant,
) -> Result<Vec<Duration>, Fault> {
    let mut times = Vec::with_capacity(1 << 16);
    let fill = "-".repeat(TEXT - 13);
    while Instant::now() < end {
        let text = format!("{client:03} {:08} {fill}", times.len());
        let begin = Instant::now();
        socket.send(Message::text(text.as_str())).await?;
        match echo(&mut socket).await? {
            Message::Text(answer) if answer.as_str() == text => times.push(begin.elapsed()),
            other => return Err(format!("{text:?} came back as {other:?}").into()),
        }
    }
    socket.close(None).await?;
    Ok(times)
}

/// The next message that is not about the connection itself.
async fn echo(socket: &mut WebSocketStream<TcpStream>) -> Result<Message, Fault> {
    loop {
        match socket.next().await.ok_or("the server ended the connection")?? {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return Ok(message),
        }
    }
}
