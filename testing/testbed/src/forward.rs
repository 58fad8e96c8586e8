//! TCP from the machine into a testbed's namespace: accept outside, dial inside.
//!
//! Each connection gets a thread that enters the namespace, dials, and copies. Threads and not tasks, because entering a
//! network namespace is a property of a thread.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

use crate::limits::DIAL;

/// Connects to `target` from within a network namespace. The calling thread stays where it is.
///
/// # Errors
/// If the namespace is gone or the target does not answer in time.
pub fn dial(namespace: &str, target: SocketAddr, limit: Duration) -> Result<TcpStream> {
    let path = Path::new("/run/netns").join(namespace);
    thread::spawn(move || dial_here(&path, target, limit))
        .join()
        .map_err(|_| anyhow::anyhow!("the dialing thread panicked"))?
        .with_context(|| format!("cannot connect to {target}"))
}

fn dial_here(namespace: &Path, target: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    setns(File::open(namespace)?, CloneFlags::CLONE_NEWNET)?;
    TcpStream::connect_timeout(&target, limit)
}

/// A forwarder of the calling process: lives as long as the process.
///
/// # Errors
/// If the listening address is taken.
pub fn forward(listen: SocketAddrV4, namespace: &str, target: SocketAddr) -> Result<SocketAddr> {
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let bound = listener.local_addr()?;
    let path = Path::new("/run/netns").join(namespace);
    thread::spawn(move || serve(&listener, &path, target));
    Ok(bound)
}

/// Any free port of 127.0.0.1.
#[must_use]
pub fn any_port() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)
}

fn serve(listener: &TcpListener, namespace: &Path, target: SocketAddr) {
    for outside in listener.incoming().flatten() {
        let namespace: PathBuf = namespace.to_path_buf();
        thread::spawn(move || {
            // A failed dial closes the connection, which is what the client would see of a dead server.
            if let Ok(inside) = dial_here(&namespace, target, DIAL) {
                join(&outside, &inside);
            }
        });
    }
}

fn join(outside: &TcpStream, inside: &TcpStream) {
    outside.set_nodelay(true).ok();
    inside.set_nodelay(true).ok();
    thread::scope(|scope| {
        scope.spawn(|| pump(inside, outside));
        pump(outside, inside);
    });
}

fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    io::copy(&mut from, &mut to).ok();
    to.shutdown(Shutdown::Write).ok();
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn both_ways_end_when_both_sides_do() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = server.local_addr().unwrap();
        let middle = front.local_addr().unwrap();
        let joiner = thread::spawn(move || {
            let outside = front.accept().unwrap().0;
            join(&outside, &TcpStream::connect(target).unwrap());
        });
        let mut client = TcpStream::connect(middle).unwrap();
        let mut served = server.accept().unwrap().0;
        client.write_all(b"ping").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        served.read_to_string(&mut text).unwrap();
        served.write_all(b"pong").unwrap();
        drop(served);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!((text.as_str(), answer.as_str()), ("ping", "pong"));
        joiner.join().unwrap();
    }
}
