//! "Eventually stable": once nothing happens from outside any more, what is asked for comes about.

use kvorum_plan::Step;

use crate::invariants::{Invariant, Violation};
use crate::limits::{ROUND_SECONDS, ROUNDS_MAX, ROUNDS_STILL};
use crate::world::{Action, Fault, World};

impl World {
    /// One fair round: the operator looks and writes everything, Kubernetes and the members do their part.
    ///
    /// # Errors
    /// If a rule is broken.
    pub fn round(&mut self, operator: usize) -> Result<(), Violation> {
        let fresh = true;
        self.happen(&Action::Look { operator, fresh })?;
        while !self.operators[operator].pending.is_empty() {
            self.happen(&Action::Write { operator })?;
        }
        for _ in 0..2 {
            self.happen(&Action::Control)?;
            self.happen(&Action::Heartbeat)?;
        }
        self.happen(&Action::Wait(ROUND_SECONDS))
    }

    /// Everything from outside ends: power is back, links are whole, the spec can be met.
    ///
    /// # Errors
    /// If a rule is broken.
    pub fn calm(&mut self) -> Result<(), Violation> {
        for zone in self.cut.clone() {
            self.happen(&Action::Fault(Fault::Heal(zone)))?;
        }
        for node in 0..u8::try_from(self.kube.nodes.len()).unwrap_or(0) {
            if self.kube.nodes[usize::from(node)].exists {
                self.happen(&Action::Fault(Fault::NodeUp(node)))?;
            }
        }
        let mut wish = self.wish.clone();
        wish.paused = false;
        wish.hibernated = false;
        wish.fenced.clear();
        while self.bad_templates.contains(&wish.template) {
            wish.template += 1;
        }
        self.happen(&Action::Fault(Fault::Wish(wish)))
    }

    /// Lets the world come to rest; how many rounds it took. Where more was destroyed than can be
    /// survived, only the rules are checked.
    ///
    /// # Errors
    /// If a rule is broken, or it does not come to rest.
    pub fn settle(&mut self) -> Result<usize, Violation> {
        self.calm()?;
        let mut still = 0;
        for round in 0..ROUNDS_MAX {
            self.round(0)?;
            match self.unrest() {
                None => still += 1,
                Some(_) => still = 0,
            }
            if still >= ROUNDS_STILL {
                return Ok(round);
            }
            if self.spent && round > 60 {
                return Ok(round);
            }
        }
        let why = self.unrest().unwrap_or_default();
        let plan = self.plan_now();
        let names: Vec<String> = plan.steps.iter().map(Step::name).collect();
        let words = format!(
            "not stable after {ROUNDS_MAX} rounds: {why}; plan {names:?}, {:?}, blocked {:?}, waiting {:?}",
            plan.operation, plan.blocked, plan.waiting
        );
        Err(self.violated(Invariant::I14, words))
    }

    /// Why the world is not as asked for and at rest; none if it is.
    #[must_use]
    pub fn unrest(&self) -> Option<String> {
        let Some((_, members)) = &self.committed else {
            return Some("no cluster".to_owned());
        };
        let voters = members.voters();
        if members.joint() || voters.len() != usize::try_from(self.wish.size).unwrap_or(0) {
            return Some(format!("voters {voters:?}"));
        }
        if members.seats.len() != voters.len() {
            return Some("learners are left".to_owned());
        }
        for id in &voters {
            let set = self.kube.sets.get(id);
            let pod = self.kube.pods.get(id);
            let fits = pod.zip(set).is_some_and(|(pod, set)| {
                pod.ready
                    && !pod.terminating
                    && pod.template == set.template
                    && set.template.asked == self.wish.template
            });
            if !fits {
                return Some(format!("{id} is not well"));
            }
            if members
                .seats
                .get(id)
                .is_some_and(|seat| self.wish.drain.contains(&seat.zone))
            {
                return Some(format!("{id} is in a drained zone"));
            }
        }
        if let Some(id) = self
            .kube
            .claims
            .keys()
            .chain(self.kube.sets.keys())
            .find(|id| !voters.contains(id))
        {
            return Some(format!("objects of {id} are left"));
        }
        let plan = self.plan_now();
        let busy = plan
            .steps
            .iter()
            .find(|step| !matches!(step, Step::SyncServices { .. } | Step::ApplyMember { .. }));
        busy.map(|step| format!("plans {}", step.name()))
    }
}
