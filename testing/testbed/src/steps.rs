//! What a person sees while something takes time: one line a step, with the seconds since the start.

use std::time::Instant;

/// A running stopwatch that prints finished steps.
#[derive(Debug)]
pub struct Steps {
    start: Instant,
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

impl Steps {
    /// Starts the watch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Seconds since the start.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Prints that a step is done.
    pub fn done(&self, what: &str) {
        eprintln!("{:6.1} s  {what}", self.seconds());
    }
}
