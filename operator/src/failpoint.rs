//! Dying on purpose at an exact place: `KVORUM_FAILPOINT=before:initialize` or `after:initialize`.
//!
//! Always compiled in, as it costs one comparison a step: the promise that a restart at any point converges
//! is tested with the very program that users run. With a failpoint set, steps that would run side by side
//! run one after the other, so that "after" means that nothing of the next step has begun.

use std::process;

use kvorum_plan::ClusterSize;

/// Where to die, if anywhere.
#[derive(Clone, Debug, Default)]
pub struct Failpoint(Option<String>);

impl Failpoint {
    /// As the environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(
            std::env::var("KVORUM_FAILPOINT")
                .ok()
                .filter(|place| !place.is_empty()),
        )
    }

    /// Whether one is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Dies if this is the place.
    pub fn before(&self, step: &str) {
        self.pass("before", step);
    }

    /// Dies if this is the place.
    pub fn after(&self, step: &str) {
        self.pass("after", step);
    }

    fn pass(&self, when: &str, step: &str) {
        let here = self
            .0
            .as_deref()
            .and_then(|place| place.split_once(':'))
            .is_some_and(|place| place == (when, step));
        if here {
            tracing::error!(when, step, "Dying at the failpoint that was asked for");
            process::abort();
        }
    }
}

/// Every place of a bootstrap at which the program can be made to die, in order.
#[must_use]
pub fn places(size: ClusterSize) -> Vec<String> {
    let mut steps = vec![
        "reserve-status".to_owned(),
        "reserve-record".to_owned(),
        "services".to_owned(),
    ];
    steps.extend(size.first_ids().map(|id| format!("volume-{id}")));
    steps.extend(size.first_ids().map(|id| format!("member-{id}")));
    for step in [
        "latch-initializing-volumes",
        "latch-initializing-record",
        "initialize",
        "confirm",
        "latch-bootstrapped-volumes",
        "latch-bootstrapped-record",
        "publish",
    ] {
        steps.push(step.to_owned());
    }
    steps
        .iter()
        .flat_map(|step| [format!("before:{step}"), format!("after:{step}")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_before_and_after_every_step() {
        let places = places(ClusterSize::try_from(3).unwrap());
        assert_eq!(places.len(), 2 * (3 + 3 + 3 + 7));
        assert_eq!(places[0], "before:reserve-status");
        assert_eq!(places.last().unwrap(), "after:publish");
    }

    #[test]
    fn nothing_happens_at_other_places() {
        let failpoint = Failpoint(Some("before:initialize".to_owned()));
        failpoint.after("initialize");
        failpoint.before("initialize-not");
        Failpoint(None).before("initialize");
    }
}
