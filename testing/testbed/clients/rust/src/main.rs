//! Plays a session of the Rust client etcd-client against a cluster and prints what it saw, one line a step.
//!
//!     rust-client ENDPOINT,ENDPOINT,... < LINES
//!
//! What differs between two runs by nature is not printed. A line "? words" asks the caller for something and is
//! followed by the wait for a line on standard input.

use std::fmt::Debug;
use std::io::BufRead;
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, ConnectOptions, DeleteOptions, Error, GetOptions, LockOptions,
    Permission, PutOptions, ResignOptions, Txn, TxnOp, WatchOptions, WatchStream,
};

/// For the whole session: one that hangs is a failure.
const LIMIT: Duration = Duration::from_secs(90);

type Played = Result<(), Error>;

struct Session {
    client: Client,
    endpoints: Vec<String>,
}

#[tokio::main]
async fn main() -> Played {
    let endpoints = std::env::args()
        .nth(1)
        .expect("give the endpoints, with commas between them");
    let endpoints: Vec<String> = endpoints.split(',').map(str::to_owned).collect();
    let session = play(endpoints);
    tokio::time::timeout(LIMIT, session)
        .await
        .expect("the session hangs")
}

async fn play(endpoints: Vec<String>) -> Played {
    let client = Client::connect(&endpoints, None).await?;
    let mut session = Session { client, endpoints };
    session.keys().await?;
    session.transactions().await?;
    session.leases().await?;
    session.watching().await?;
    session.locks().await?;
    session.elections().await?;
    session.users().await?;
    session.leader_lost().await
}

impl Session {
    fn see(&self, doing: &str, what: impl Debug) {
        println!("{doing}: {what:?}");
    }

    /// An error that both servers must word alike.
    fn refused<T>(&self, doing: &str, answer: Result<T, Error>) {
        match answer.err() {
            Some(Error::GRpcStatus(status)) => self.see(doing, (status.code(), status.message())),
            other => self.see(doing, other.map(|error| error.to_string())),
        }
    }

    fn ask(&self, what: &str) {
        println!("? {what}");
        let answer = std::io::stdin().lock().lines().next();
        answer.expect("nobody answers").expect("standard input");
    }

    async fn keys(&mut self) -> Played {
        let c = &mut self.client.kv_client();
        let put = c.put("k/a", "1", None).await?;
        let before = c.put("k/a", "2", Some(PutOptions::new().with_prev_key()));
        let before = before.await?;
        self.see("put", put.header().map(|is| is.revision()));
        self.see(
            "before",
            before
                .prev_key()
                .map(|kv| kv.value_str().unwrap().to_owned()),
        );
        c.put("k/b", "1", None).await?;
        for (name, options) in [
            ("prefix", GetOptions::new().with_prefix()),
            ("limit", GetOptions::new().with_prefix().with_limit(1)),
            ("count", GetOptions::new().with_prefix().with_count_only()),
            ("past", GetOptions::new().with_revision(2)),
            ("serializable", GetOptions::new().with_serializable()),
        ] {
            let got = c.get("k/a", Some(options)).await?;
            let kvs: Vec<_> = got.kvs().iter().map(text).collect();
            self.see(name, (got.count(), got.more(), kvs));
        }
        let gone = c.delete(
            "k/",
            Some(DeleteOptions::new().with_prefix().with_prev_key()),
        );
        let gone = gone.await?;
        let before: Vec<_> = gone.prev_kvs().iter().map(text).collect();
        self.see("deleted", (gone.deleted(), before));
        self.refused("no key", c.put("", "x", None).await);
        let future = Some(GetOptions::new().with_revision(1_000_000));
        self.refused("the future", c.get("k/a", future).await);
        c.compact(4, None).await?;
        let past = Some(GetOptions::new().with_revision(2));
        self.refused("the compacted past", c.get("k/a", past).await);
        Ok(())
    }

    async fn transactions(&mut self) -> Played {
        for _ in 0..2 {
            let nested = Txn::new().and_then([TxnOp::get("t/a", None)]);
            let txn = Txn::new()
                .when([Compare::version("t/a", CompareOp::Equal, 0)])
                .and_then([TxnOp::put("t/a", "made", None), TxnOp::txn(nested)])
                .or_else([TxnOp::get("t/a", None), TxnOp::delete("t/a", None)]);
            let done = self.client.txn(txn).await?;
            self.see("transaction", (done.succeeded(), done.op_responses().len()));
        }
        let twice = [TxnOp::put("t/x", "1", None), TxnOp::put("t/x", "2", None)];
        let twice = self.client.txn(Txn::new().and_then(twice)).await;
        self.refused("put twice", twice);
        Ok(())
    }

    async fn leases(&mut self) -> Played {
        let id = self.client.lease_grant(60, None).await?.id();
        let options = PutOptions::new().with_lease(id);
        self.client.put("l/a", "x", Some(options)).await?;
        let (mut keeper, mut answers) = self.client.lease_keep_alive(id).await?;
        keeper.keep_alive().await?;
        let alive = answers.message().await?;
        self.see("kept alive", alive.map(|is| is.ttl()));
        let options = etcd_client::LeaseTimeToLiveOptions::new().with_keys();
        let left = self.client.lease_time_to_live(id, Some(options)).await?;
        self.see("granted", (left.granted_ttl(), left.keys().len()));
        self.client.lease_revoke(id).await?;
        let gone = self.client.get("l/a", None).await?;
        self.see("left", gone.count());
        let again = self.client.lease_revoke(id).await;
        self.refused("revoke again", again);
        Ok(())
    }

    async fn watching(&mut self) -> Played {
        let first = self.client.put("w/a", "1", None).await?;
        self.client.put("w/a", "2", None).await?;
        self.client.delete("w/a", None).await?;
        let from = first.header().map_or(0, |is| is.revision());
        let options = WatchOptions::new()
            .with_prefix()
            .with_start_revision(from)
            .with_prev_key();
        let mut events = self.client.watch("w/", Some(options)).await?;
        self.events(&mut events, 3).await?;
        let past = WatchOptions::new().with_start_revision(1);
        let mut past = self.client.watch("k/a", Some(past)).await?;
        while let Some(response) = past.message().await? {
            if response.canceled() {
                let compacted = response.compact_revision() > 0;
                self.see(
                    "watch the compacted past",
                    (compacted, response.cancel_reason()),
                );
                break;
            }
        }
        Ok(())
    }

    async fn events(&mut self, stream: &mut WatchStream, wanted: usize) -> Played {
        let mut seen = 0;
        while seen < wanted {
            let response = stream.message().await?;
            let response = response.ok_or_else(|| Error::WatchError("it ended".to_owned()))?;
            for event in response.events() {
                seen += 1;
                let (kv, before) = (event.kv().map(text), event.prev_kv().map(text));
                self.see("event", (event.event_type(), kv, before));
            }
        }
        Ok(())
    }

    async fn locks(&mut self) -> Played {
        let mut leases = Vec::new();
        for _ in 0..2 {
            leases.push(self.client.lease_grant(60, None).await?.id());
        }
        let options = |lease| Some(LockOptions::new().with_lease(lease));
        let held = self.client.lock("door", options(leases[0])).await?;
        let mut other = self.client.lock_client();
        let (waiting, lease) = (self.client.kv_client(), leases[1]);
        let waits = tokio::spawn(async move { other.lock("door", options(lease)).await });
        let mut waiting = waiting;
        while waiting
            .get("door/", Some(GetOptions::new().with_prefix()))
            .await?
            .count()
            < 2
        {
            tokio::task::yield_now().await;
        }
        self.see("the other waits", !waits.is_finished());
        self.client.unlock(held.key()).await?;
        let got = waits.await.unwrap()?;
        self.see("the other holds it", got.key().starts_with(b"door/"));
        self.client.unlock(got.key()).await?;
        Ok(())
    }

    async fn elections(&mut self) -> Played {
        let nobody = self.client.leader("chair").await;
        self.refused("nobody leads", nobody);
        let lease = self.client.lease_grant(60, None).await?.id();
        let won = self.client.campaign("chair", "one", lease).await?;
        let leader = self.client.leader("chair").await?;
        self.see(
            "leads",
            leader.kv().map(|kv| kv.value_str().unwrap().to_owned()),
        );
        let key = won.leader().unwrap().clone();
        let resign = ResignOptions::new().with_leader(key);
        self.client.resign(Some(resign)).await?;
        let nobody = self.client.leader("chair").await;
        self.refused("resigned", nobody);
        Ok(())
    }

    async fn leader_lost(&mut self) -> Played {
        let mut events = self.client.watch("f/n", None).await?;
        self.client.put("f/n", "1", None).await?;
        self.events(&mut events, 1).await?;
        self.ask("kill the leader");
        // A call may meet the dead member. What came through unseen is not done twice.
        let read = loop {
            let there = self.client.get("f/n", None).await;
            let seen: Vec<_> = there.iter().flat_map(|got| got.kvs()).map(text).collect();
            if seen.iter().any(|kv| kv.starts_with("f/n=2")) {
                break seen;
            }
            if there.is_ok() {
                let _ = self.client.put("f/n", "2", None).await;
            }
        };
        self.see("read", read);
        self.ask("start it again");
        Ok(())
    }

    async fn users(&mut self) -> Played {
        let c = &mut self.client.auth_client();
        for name in ["root", "alice"] {
            c.user_add(name, name, None).await?;
        }
        for role in ["root", "reader"] {
            c.role_add(role).await?;
        }
        let reads = Permission::read("u/").with_prefix();
        c.role_grant_permission("reader", reads).await?;
        c.user_grant_role("root", "root").await?;
        c.user_grant_role("alice", "reader").await?;
        let twice = c.user_add("alice", "x", None).await;
        self.refused("add a user twice", twice);
        c.auth_enable().await?;
        let nameless = self.client.get("u/a", None).await;
        self.refused("without a name", nameless);
        // To one member only: others of etcd may not know a new token yet.
        let come = async |name: &str, password: &str| {
            let options = ConnectOptions::new().with_user(name, password);
            Client::connect(&self.endpoints[..1], Some(options)).await
        };
        self.refused("a wrong password", come("alice", "wrong").await);
        let (mut root, mut alice) = (come("root", "root").await?, come("alice", "alice").await?);
        root.put("u/a", "secret", None).await?;
        let got = alice.get("u/a", None).await?;
        self.see(
            "alice reads",
            got.kvs().iter().map(text).collect::<Vec<_>>(),
        );
        self.refused("alice writes", alice.put("u/a", "x", None).await);
        self.refused("alice reads more", alice.get("k/a", None).await);
        root.auth_disable().await?;
        Ok(())
    }
}

fn text(kv: &etcd_client::KeyValue) -> String {
    let value = kv.value_str().unwrap_or_default();
    format!(
        "{}={value} v{}",
        kv.key_str().unwrap_or_default(),
        kv.version()
    )
}
