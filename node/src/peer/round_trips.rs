//! How long peers take to answer appends.

use crate::consensus::types::MemberId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::time::Duration;

/// Labels of a peer, by its ID in etcd's writing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(non_snake_case, reason = "etcd's label")]
pub struct To {
    /// Member ID, hexadecimal.
    pub To: String,
}

/// How long appends take to be answered, by peer.
#[derive(Clone)]
pub struct RoundTrips(Family<To, Histogram>);

impl Default for RoundTrips {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.0001, 2.0, 16))
        }))
    }
}

impl RoundTrips {
    /// For the metrics page.
    #[must_use]
    pub fn family(&self) -> Family<To, Histogram> {
        self.0.clone()
    }

    /// Notes one.
    pub fn observe(&self, peer: MemberId, took: Duration) {
        let to = To {
            To: format!("{peer:x}"),
        };
        self.0.get_or_create(&to).observe(took.as_secs_f64());
    }
}
