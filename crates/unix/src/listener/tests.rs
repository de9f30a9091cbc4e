//! Real sockets: what a client and a second server see of them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::{Address, BindError, Listener, Local, Options, Socket};
use crate::fork::tests::{in_child, without_children};
use crate::wait::Change;

const OPTIONS: Options = Options { backlog: 16, umask: 0o077, reuse_port: false };

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.to_owned(), port }
}

#[test]
fn port_0_becomes_a_real_port_and_clients_reach_it() {
    for host in ["127.0.0.1", "localhost"] {
        let listener = Listener::bind(&tcp(host, 0), OPTIONS).unwrap();
        let Local::Tcp(address) = *listener.local() else { panic!("not TCP") };
        assert_ne!(address.port(), 0);
        assert_eq!(listener.to_string(), format!("http://127.0.0.1:{}", address.port()));
        let mut client = TcpStream::connect(address).unwrap();
        let Socket::Tcp(server) = listener.to_socket().unwrap() else { panic!("not TCP") };
        let (mut served, _) = server.accept().unwrap();
        assert!(served.nodelay().unwrap());
        assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        served.write_all(b"ok").unwrap();
        drop(served);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ok");
    }
}

#[test]
fn an_address_in_use_is_told_from_one_that_cannot_work() {
    let first = Listener::bind(&tcp("127.0.0.1", 0), OPTIONS).unwrap();
    let Local::Tcp(address) = *first.local() else { panic!("not TCP") };
    let again = Listener::bind(&tcp("127.0.0.1", address.port()), OPTIONS);
    assert!(matches!(again, Err(BindError::InUse)), "{again:?}");
    let foreign = Listener::bind(&tcp("192.0.2.1", 0), OPTIONS).unwrap_err();
    assert!(foreign.to_string().contains("does not have the address"), "{foreign}");
    let unknown = Listener::bind(&tcp("no such host.invalid", 0), OPTIONS).unwrap_err();
    assert!(unknown.to_string().contains("no such host.invalid"), "{unknown}");
}

#[test]
fn addresses_are_written_as_gunicorn_writes_them() {
    assert_eq!(tcp("127.0.0.1", 8000).to_string(), "('127.0.0.1', 8000)");
    assert_eq!(Address::Unix(PathBuf::from("/run/a.sock")).to_string(), "/run/a.sock");
    assert_eq!(Local::Tcp("[::1]:80".parse().unwrap()).to_string(), "http://[::1]:80");
    assert_eq!(Local::Unix(PathBuf::from("/run/a.sock")).to_string(), "unix:/run/a.sock");
}

#[test]
fn a_unix_socket_gets_its_mode_and_goes_with_its_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let end = in_child(|| {
        // umask belongs to the process, so this runs in one of its own.
        let listener = Listener::bind(&Address::Unix(path.clone()), OPTIONS).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(listener.to_string(), format!("unix:{}", path.display()));
        let other = listener.clone();
        drop(listener);
        assert!(path.exists());
        // A child's handle does not remove the file.
        let child = in_child(|| {
            drop(other.clone());
            0
        });
        assert_eq!(child, Change::Exited(0));
        assert!(path.exists());
        drop(other);
        i32::from(path.exists())
    });
    assert_eq!(end, Change::Exited(0));
}

#[test]
fn only_a_socket_on_which_nobody_answers_is_replaced() {
    let _alone = without_children();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let address = Address::Unix(path.clone());
    let living = Listener::bind(&address, OPTIONS).unwrap();
    assert!(matches!(Listener::bind(&address, OPTIONS), Err(BindError::InUse)));
    // A server that was killed leaves its file behind.
    std::mem::forget(living.clone());
    nix::unistd::close(living.as_raw_fd()).unwrap();
    std::mem::forget(living);
    assert!(UnixStream::connect(&path).is_err());
    let successor = Listener::bind(&address, OPTIONS).unwrap();
    UnixStream::connect(&path).unwrap();
    drop(successor);
    fs::write(&path, "precious").unwrap();
    let error = Listener::bind(&address, OPTIONS).unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_queue_that_was_shut_can_be_emptied_and_takes_nobody_in() {
    let _alone = without_children();
    let listener = Listener::bind(&tcp("127.0.0.1", 0), OPTIONS).unwrap();
    let Local::Tcp(address) = *listener.local() else { panic!("not TCP") };
    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    let Socket::Tcp(server) = listener.to_socket().unwrap() else { panic!("not TCP") };
    listener.refuse().unwrap();
    // Its first packet is dropped, so it waits; it is not in the queue that closing resets.
    let late = TcpStream::connect_timeout(&address, std::time::Duration::from_millis(100));
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    for mut client in clients {
        let (mut served, _) = server.accept().unwrap();
        client.write_all(b"ask").unwrap();
        let mut asked = [0; 3];
        served.read_exact(&mut asked).unwrap();
    }
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop((server, listener));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_unix_socket_that_was_shut_refuses_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let listener = Listener::bind(&Address::Unix(path.clone()), OPTIONS).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    let Socket::Unix(server) = listener.to_socket().unwrap() else { panic!("not a Unix socket") };
    listener.refuse().unwrap();
    let late = UnixStream::connect(&path).unwrap_err();
    assert_eq!(late.kind(), std::io::ErrorKind::ConnectionRefused);
    let (mut served, _) = server.accept().unwrap();
    served.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_queue_that_was_shut_tells_so_to_whoever_has_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    for address in [tcp("127.0.0.1", 0), Address::Unix(dir.path().join("a.sock"))] {
        let listener = Listener::bind(&address, OPTIONS).unwrap();
        let other = listener.to_socket().unwrap();
        assert!(!other.is_refused());
        listener.refuse().unwrap();
        assert!(other.is_refused(), "{address}");
    }
}

#[test]
fn addresses_that_leave_no_room_for_each_other_do_for_a_moment() {
    let _alone = without_children();
    for (first, second) in [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")] {
        let old = Listener::bind(&tcp(first, 0), OPTIONS).unwrap();
        let Local::Tcp(local) = old.local().clone() else { panic!("no TCP") };
        let address = tcp(second, local.port());
        assert!(matches!(Listener::bind(&address, OPTIONS), Err(BindError::InUse)));
        let new = Listener::bind_beside(&address, OPTIONS, &[&old]).unwrap();
        drop(old);
        let _client = std::net::TcpStream::connect(("127.0.0.1", local.port())).unwrap();
        let socket = new.to_socket().unwrap();
        assert!(socket.accept().is_ok());
        // Nobody else gets in for that.
        let other = tcp(first, local.port());
        assert!(matches!(Listener::bind(&other, OPTIONS), Err(BindError::InUse)));
    }
}

#[test]
fn an_inherited_socket_works_and_its_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let fd = std::os::unix::net::UnixListener::bind(&path).unwrap().into_raw_fd();
    let listener = Listener::bind(&Address::Fd(fd), OPTIONS).unwrap();
    assert_eq!(listener.local(), &Local::Unix(path.clone()));
    UnixStream::connect(&path).unwrap();
    drop(listener);
    assert!(path.exists());
}

#[test]
fn a_descriptor_that_is_no_listening_socket_is_refused_and_left_alone() {
    let file = tempfile::tempfile().unwrap();
    let error = Listener::inherit(file.as_raw_fd()).unwrap_err();
    assert!(error.to_string().contains("no listening stream socket"), "{error}");
    (&file).write_all(b"still open").unwrap();
    let error = Listener::inherit(987_654).unwrap_err();
    assert!(error.to_string().contains("987654 is not open"), "{error}");
}
