//! Sends metrics to a statsd, several in a datagram, in gunicorn's form: `gunicorn.requests:1|c|@1.0`.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use ferricorn_config::StatsdSettings;
use http::StatusCode;

use super::{Health, Remote};

/// What messages call it.
pub(super) const WHAT: &str = "statsd";
/// What crosses the Internet in one packet, in bytes; a Unix socket takes more.
const PACKET: usize = 1432;
const LOCAL_PACKET: usize = 8192;

/// A statsd, and the metrics that are not sent yet.
#[derive(Debug)]
pub(crate) struct Statsd {
    remote: Remote,
    prefix: String,
    /// Empty, or `|#` and the tags.
    tags: String,
    buffer: Vec<u8>,
    packet: usize,
    health: Health,
    news: Option<String>,
}

impl Statsd {
    pub(crate) fn open(settings: &StatsdSettings) -> io::Result<Self> {
        let remote = Remote::open(&settings.address)
            .map_err(|error| io::Error::new(error.kind(), format!("statsd_host: {error}")))?;
        let packet = match &remote {
            Remote::Datagrams(datagrams) if !datagrams.is_unix() => PACKET,
            _ => LOCAL_PACKET,
        };
        let tags = if settings.tags.is_empty() { String::new() } else { format!("|#{}", settings.tags) };
        let (prefix, buffer) = (settings.prefix.clone(), Vec::new());
        let health = Health::of(WHAT, &settings.address);
        Ok(Self { remote, prefix, tags, buffer, packet, health, news: None })
    }

    /// A request was answered.
    pub(crate) fn request(&mut self, status: Option<StatusCode>, elapsed: Duration) {
        let micros = elapsed.as_micros();
        self.push("request.duration", format_args!("{}.{:03}|ms", micros / 1000, micros % 1000));
        self.count("requests");
        if let Some(status) = status {
            self.push(format_args!("request.status.{}", status.as_u16()), "1|c|@1.0");
        }
    }

    /// Something happened once more.
    pub(crate) fn count(&mut self, name: impl Display) {
        self.push(name, "1|c|@1.0");
    }

    /// Something has this value now.
    pub(crate) fn gauge(&mut self, name: &str, value: usize) {
        self.push(name, format_args!("{value}|g"));
    }

    /// A metric of the user's own: name and value, with its type, are as they are given.
    pub(crate) fn own(&mut self, name: &str, value: &str) {
        self.put(name, value);
    }

    fn push(&mut self, name: impl Display, value: impl Display) {
        self.put(format_args!("gunicorn.{name}"), value);
    }

    fn put(&mut self, name: impl Display, value: impl Display) {
        let before = self.buffer.len();
        if before > 0 {
            self.buffer.push(b'\n');
        }
        let metric = self.buffer.len();
        // Writing to a vector does not fail.
        let _ = write!(self.buffer, "{}{name}:{value}{}", self.prefix, self.tags);
        if self.buffer.len() > self.packet && before > 0 {
            let later = self.buffer.split_off(metric);
            self.buffer.truncate(before);
            self.send();
            self.buffer = later;
        }
    }

    /// Sends what is there; returns what there is to tell the operator about that.
    pub(crate) fn flush(&mut self) -> Option<String> {
        if !self.buffer.is_empty() {
            self.send();
        }
        self.news.take()
    }

    fn send(&mut self) {
        let sent = self.remote.send(&self.buffer);
        self.buffer.clear();
        if let Some(news) = self.health.news(&sent) {
            self.news = Some(news);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use ferricorn_config::RemoteAddress;

    use super::*;

    fn to(daemon: &UdpSocket, prefix: &str, tags: &str) -> Statsd {
        let port = daemon.local_addr().unwrap().port();
        let address = RemoteAddress::Udp("127.0.0.1".to_owned(), port);
        Statsd::open(&StatsdSettings { address, prefix: prefix.to_owned(), tags: tags.to_owned() }).unwrap()
    }

    fn received(daemon: &UdpSocket) -> String {
        let mut datagram = [0; 65536];
        let length = daemon.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_request_has_gunicorns_metrics() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut statsd = to(&daemon, "shop.", "env:test,a:b");
        statsd.request(Some(StatusCode::NOT_FOUND), Duration::from_micros(12_034));
        assert_eq!(statsd.flush(), None);
        let expected = "shop.gunicorn.request.duration:12.034|ms|#env:test,a:b\n\
                        shop.gunicorn.requests:1|c|@1.0|#env:test,a:b\n\
                        shop.gunicorn.request.status.404:1|c|@1.0|#env:test,a:b";
        assert_eq!(received(&daemon), expected);
    }

    #[test]
    fn many_metrics_fill_packets_and_none_is_cut() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut statsd = to(&daemon, "", "");
        for _ in 0..100 {
            statsd.request(Some(StatusCode::OK), Duration::from_millis(1));
        }
        statsd.flush();
        let mut lines = 0;
        while lines < 300 {
            let datagram = received(&daemon);
            assert!(
                datagram.len() <= PACKET && datagram.lines().all(|line| line.starts_with("gunicorn.request"))
            );
            lines += datagram.lines().count();
        }
        assert_eq!(lines, 300);
    }

    #[test]
    fn a_daemon_that_is_away_is_told_once_and_its_return_too() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut statsd = to(&daemon, "", "");
        let address = daemon.local_addr().unwrap();
        drop(daemon);
        let mut told = Vec::new();
        for _ in 0..10 {
            statsd.count("log.error");
            told.extend(statsd.flush());
        }
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("statsd at udp://{address} cannot be reached")), "{told:?}");
        let _daemon = UdpSocket::bind(address).unwrap();
        for _ in 0..10 {
            statsd.count("log.error");
            told.extend(statsd.flush());
        }
        assert_eq!(told[1..], [format!("statsd at udp://{address} can be reached again")]);
    }
}
