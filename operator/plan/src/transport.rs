//! How members talk to each other, with TLS or without, and how that changes on a cluster that lives: never may
//! a member that takes nothing but TLS stand beside one that knows none.

use std::fmt;

/// How one member talks to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Without TLS.
    #[default]
    Off,
    /// Takes both, and calls with TLS where it is spoken: the step between the two others.
    Permissive,
    /// With TLS alone.
    Required,
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Permissive => "permissive",
            Self::Required => "required",
        })
    }
}

impl Transport {
    /// Reads what [`fmt::Display`] writes; a member that says nothing of it knows no TLS of its own.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Permissive, Self::Required]
            .into_iter()
            .find(|transport| transport.to_string() == text)
    }
}

/// One member that has a pod or is to have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What its template says.
    pub template: Transport,
    /// What it says itself; none if it does not answer.
    pub process: Option<Transport>,
    /// It has a pod, or will have one by its template.
    pub runs: bool,
}

/// What every template should say now.
#[must_use]
pub fn decide(tls: bool, members: &[Seen]) -> Transport {
    let (target, opposite) = if tls {
        (Transport::Required, Transport::Off)
    } else {
        (Transport::Off, Transport::Required)
    };
    let templates = |is: Transport| members.iter().any(|member| member.template == is);
    if templates(opposite) {
        // A cluster without a pod changes at once: there is nobody to be understood by.
        let asleep = members.iter().all(|member| !member.runs);
        return if asleep {
            target
        } else {
            Transport::Permissive
        };
    }
    if templates(target) || members.is_empty() {
        // Decided before, when everybody was ready for it.
        return target;
    }
    let ready = |member: &Seen| {
        let process = member.process;
        !member.runs || process == Some(Transport::Permissive) || process == Some(target)
    };
    if members.iter().all(ready) {
        target
    } else {
        Transport::Permissive
    }
}

#[cfg(test)]
mod tests {
    use super::Transport::{Off, Permissive, Required};
    use super::*;
    use std::collections::BTreeSet;

    fn seen(template: Transport, process: Option<Transport>) -> Seen {
        Seen {
            template,
            process,
            runs: true,
        }
    }

    #[test]
    fn a_change_goes_through_the_step_that_everybody_understands() {
        for (tls, members, now) in [
            (true, vec![], Required),
            (false, vec![], Off),
            (true, vec![seen(Off, Some(Off)); 3], Permissive),
            (true, vec![seen(Permissive, Some(Off)); 3], Permissive),
            (true, vec![seen(Permissive, None); 3], Permissive),
            (true, vec![seen(Permissive, Some(Permissive)); 3], Required),
            (true, vec![seen(Required, None); 3], Required),
            (false, vec![seen(Required, Some(Required)); 3], Permissive),
            (false, vec![seen(Permissive, Some(Permissive)); 3], Off),
            (false, vec![seen(Off, Some(Permissive)); 3], Off),
        ] {
            assert_eq!(decide(tls, &members), now, "{tls} {members:?}");
        }
        let asleep = Seen {
            runs: false,
            ..seen(Off, None)
        };
        assert_eq!(decide(true, &[asleep; 3]), Required);
        let mixed = [seen(Permissive, Some(Permissive)), seen(Permissive, None)];
        assert_eq!(decide(true, &mixed), Permissive, "one does not answer");
    }

    /// Three members, wishes that change at any moment, restarts one at a time: every state that can be reached.
    #[test]
    fn nobody_who_takes_tls_alone_ever_stands_beside_one_who_knows_none() {
        type State = (bool, [(Transport, Transport); 3]);
        let mut todo: Vec<State> =
            vec![(true, [(Off, Off); 3]), (false, [(Required, Required); 3])];
        let mut known: BTreeSet<State> = todo.iter().copied().collect();
        let mut reached = BTreeSet::new();
        while let Some((tls, members)) = todo.pop() {
            let processes: BTreeSet<Transport> = members.iter().map(|(_, is)| *is).collect();
            assert!(
                !(processes.contains(&Off) && processes.contains(&Required)),
                "{members:?}"
            );
            let view: Vec<Seen> = members.iter().map(|(t, p)| seen(*t, Some(*p))).collect();
            let template = decide(tls, &view);
            reached.insert((tls, template));
            let mut next = vec![
                (!tls, members),
                (tls, members.map(|(_, is)| (template, is))),
            ];
            for one in 0..3 {
                // Its template is written, and later its pod starts with it.
                let mut written = members;
                written[one].0 = template;
                let mut restarted = members;
                restarted[one].1 = restarted[one].0;
                next.extend([(tls, written), (tls, restarted)]);
            }
            todo.extend(next.into_iter().filter(|state| known.insert(*state)));
        }
        assert!(reached.contains(&(true, Required)) && reached.contains(&(false, Off)));
        println!("{} states", known.len());
    }
}
