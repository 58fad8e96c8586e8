//! When CAs change, step by step. Pure.

use kvorum_proto::admin::PortSecurity;

use super::{Kept, Leaf, Stand, Wish, issue};
use crate::limits::CA_RENEW_SECONDS;

/// The next step of a change of CAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// None is due.
    Stay,
    /// New CAs are trusted beside the old ones.
    Begin,
    /// They sign, and the old ones are still trusted.
    Switch,
    /// The old ones are no longer trusted.
    Drop,
}

/// How far members have followed what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// All of them trust every CA that is to be trusted.
    pub trusted: bool,
    /// All of them show the certificates that are kept.
    pub shown: bool,
}

impl Progress {
    /// From what members say of their peer and client ports; none where a member does not answer.
    #[must_use]
    pub fn of(
        kept: &Kept,
        members: &[Option<(PortSecurity, PortSecurity)>],
        clients_show: bool,
    ) -> Self {
        let all = |ask: &dyn Fn(&PortSecurity, Leaf) -> bool| {
            members.iter().all(|member| {
                let ports = member.as_ref();
                ports.is_some_and(|(peer, client)| {
                    ask(peer, Leaf::Peer) && ask(client, Leaf::Server)
                })
            })
        };
        let trusts = |port: &PortSecurity, leaf: Leaf| {
            let Some(issued) = kept.leaves.get(&leaf) else {
                return false;
            };
            let mut wanted = issue::digests(&issued.trust).into_iter();
            // Without certificates of clients, the client port trusts nobody.
            (leaf == Leaf::Server && !clients_show) || wanted.all(|ca| port.trusted.contains(&ca))
        };
        let shows = |port: &PortSecurity, leaf: Leaf| {
            let issued = kept.leaves.get(&leaf);
            let wanted = issued.map(|issued| issue::digests(&issued.pair.cert));
            wanted.is_some_and(|wanted| wanted.first() == Some(&port.certificate))
        };
        Self {
            trusted: all(&trusts),
            shown: all(&shows),
        }
    }
}

/// What is due.
pub(super) fn next(kept: &Kept, wish: Wish, progress: Progress, now: i64) -> Turn {
    let Some(authorities) = &kept.authorities else {
        return Turn::Stay;
    };
    let waited = now - authorities.since >= wish.overlap;
    let both = [&authorities.clients, &authorities.peers];
    let signers = both.into_iter().filter_map(|is| is.signer.as_ref());
    let mut ends = signers.map(|signer| issue::ends(&signer.cert).unwrap_or(0));
    // Members are compared with what is kept: where a crash came between the CAs and what they sign, that is the
    // past, and says nothing of this step.
    let written = || {
        Leaf::ALL.iter().all(|leaf| {
            let authority = leaf.authority(authorities);
            kept.leaves.get(leaf).is_some_and(|is| {
                is.trust == authority.trust() && issue::is_good(&is.pair, authority, now)
            })
        })
    };
    match authorities.stand() {
        Stand::Introducing if waited && progress.trusted && written() => Turn::Switch,
        Stand::Switching if waited && progress.shown && written() => Turn::Drop,
        Stand::Steady
            if wish.generation > authorities.generation
                || ends.any(|end| end - now < CA_RENEW_SECONDS) =>
        {
            Turn::Begin
        }
        Stand::Introducing | Stand::Switching | Stand::Steady => Turn::Stay,
    }
}
