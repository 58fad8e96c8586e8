//! Where peers were reached last: an election needs no name service then, which may be
//! lost together with the leader.

use crate::limits::{ADDRESSES_KEPT, KNOWN_ADDRESS_LEAD};
use futures::FutureExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// The last address of each `host:port` that was reached.
#[derive(Default)]
pub struct Addresses(Mutex<HashMap<String, SocketAddr>>);

impl Addresses {
    /// Connects to `host:port`: to where it was last, and by its name where that fails
    /// or takes long. Who answers there is known only after the hello; if it is somebody
    /// else, the caller says so by [`Addresses::forget`].
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn reach(&self, address: &str) -> io::Result<TcpStream> {
        let known = self.0.lock().get(address).copied();
        let socket = match known {
            Some(known) => reach_known(known, address).await?,
            None => TcpStream::connect(address).await?,
        };
        socket.set_nodelay(true)?;
        self.keep(address, socket.peer_addr()?);
        Ok(socket)
    }

    /// The next connection is made by name alone.
    pub fn forget(&self, address: &str) {
        self.0.lock().remove(address);
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
    async fn what_was_reached_once_needs_no_name_until_it_is_forgotten() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let addresses = Addresses::default();
        let name = "no-such-host.invalid:2380";
        addresses.reach(name).await.unwrap_err();
        addresses.keep(name, at);
        assert_eq!(
            addresses.reach(name).await.unwrap().peer_addr().unwrap(),
            at
        );
        addresses.forget(name);
        addresses.reach(name).await.unwrap_err();
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
        addresses.reach(&name).await.unwrap();
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
