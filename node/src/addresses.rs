//! Where peers were reached last: an election needs no name service then, which may be
//! lost together with the leader.

use crate::limits::{ADDRESSES_KEPT, KNOWN_ADDRESS_LEAD};
use futures::FutureExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpStream;

/// The last address of each `host:port` that was reached.
#[derive(Default)]
pub struct Addresses(Mutex<HashMap<String, SocketAddr>>);

/// One attempt to talk to whom is called `host:port`.
pub struct Target<'a> {
    addresses: &'a Addresses,
    address: &'a str,
    reached: AtomicBool,
}

impl Target<'_> {
    /// Its `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.address
    }

    /// Connects: to where it was last, and by its name where that fails or takes long.
    /// Who answers there is known only after the hello.
    ///
    /// # Errors
    /// If nobody can be reached.
    pub async fn reach(&self) -> io::Result<TcpStream> {
        let known = self.addresses.0.lock().get(self.address).copied();
        let socket = match known {
            Some(known) => reach_known(known, self.address).await?,
            None => TcpStream::connect(self.address).await?,
        };
        socket.set_nodelay(true)?;
        self.addresses.keep(self.address, socket.peer_addr()?);
        self.reached.store(true, Ordering::Relaxed);
        Ok(socket)
    }

    /// The attempt failed. If somebody was there, it may be somebody else by now: the next
    /// connection is made by name alone. If nobody was, it may be back at once.
    pub fn failed(&self) {
        if self.reached.load(Ordering::Relaxed) {
            self.addresses.0.lock().remove(self.address);
        }
    }
}

impl Addresses {
    /// An attempt to talk to whom is called `host:port`.
    #[must_use]
    pub fn target<'a>(&'a self, address: &'a str) -> Target<'a> {
        Target {
            addresses: self,
            address,
            reached: AtomicBool::new(false),
        }
    }

    fn keep(&self, address: &str, at: SocketAddr) {
        let mut known = self.0.lock();
        // Of members that are gone, or a very large cluster: names work too.
        if known.len() >= ADDRESSES_KEPT && !known.contains_key(address) {
            known.clear();
        }
        known.insert(address.to_owned(), at);
    }
}

async fn reach_known(known: SocketAddr, address: &str) -> io::Result<TcpStream> {
    let mut there = TcpStream::connect(known).boxed();
    match tokio::time::timeout(KNOWN_ADDRESS_LEAD, &mut there).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(_)) => TcpStream::connect(address).await,
        Err(_) => {
            let by_name = TcpStream::connect(address).boxed();
            let (socket, _) = futures::future::select_ok([there, by_name]).await?;
            Ok(socket)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_was_reached_needs_no_name_until_somebody_else_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let addresses = Addresses::default();
        let name = "no-such-host.invalid:2380";
        addresses.target(name).reach().await.unwrap_err();
        addresses.keep(name, at);
        let target = addresses.target(name);
        assert_eq!(target.reach().await.unwrap().peer_addr().unwrap(), at);
        target.failed();
        addresses.target(name).reach().await.unwrap_err();
    }

    #[tokio::test]
    async fn a_place_where_nobody_was_is_remembered() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = gone.local_addr().unwrap();
        drop(gone);
        let addresses = Addresses::default();
        let name = "no-such-host.invalid:2380";
        addresses.keep(name, at);
        let target = addresses.target(name);
        target.reach().await.unwrap_err();
        target.failed();
        let _back = TcpListener::bind(at).await.unwrap();
        addresses.target(name).reach().await.unwrap();
    }

    #[tokio::test]
    async fn an_address_where_nobody_is_any_more_is_looked_up_again() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let old = gone.local_addr().unwrap();
        drop(gone);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let addresses = Addresses::default();
        let name = at.to_string();
        addresses.keep(&name, old);
        addresses.target(&name).reach().await.unwrap();
        assert_eq!(addresses.0.lock().get(&name), Some(&at), "the new one");
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let addresses = Addresses::default();
        for n in 0..=ADDRESSES_KEPT {
            addresses.keep(&format!("m{n}:1"), SocketAddr::from(([127, 0, 0, 1], 1)));
        }
        assert_eq!(addresses.0.lock().len(), 1);
    }
}
