//! Fuzzing without a compiler of its own: valid inputs are changed at random, and whatever reads them must end with
//! a result or an error.
//!
//! In CI, each target runs a fixed number of inputs from a fixed number, so that a failure is one for everybody.
//! `cargo xtask fuzz` runs them for as long as one likes, from another number each time; an input that fails is
//! kept in a file that its message names.

mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use mutate::mutate;

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// How long to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So many inputs.
    Inputs(u64),
    /// So long.
    Elapsed(Duration),
}

impl Until {
    /// `KVORUM_FUZZ_SECONDS`, or so many inputs.
    #[must_use]
    pub fn from_environment(inputs: u64) -> Self {
        let seconds = std::env::var("KVORUM_FUZZ_SECONDS").ok();
        let seconds = seconds.and_then(|text| text.parse().ok());
        seconds.map_or(Self::Inputs(inputs), |seconds| {
            Self::Elapsed(Duration::from_secs(seconds))
        })
    }
}

/// An input that did not end as it must.
#[derive(Debug)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// What happened.
    pub what: String,
}

/// Gives changed seeds to `check`, one after the other; how many, or the first for which it fails or panics.
///
/// # Errors
/// That one.
pub fn search(
    name: &str,
    number: u64,
    seeds: &[Vec<u8>],
    until: Until,
    mut check: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<u64, Finding> {
    let mut random = StdRng::seed_from_u64(number);
    let (started, mut said) = (Instant::now(), Instant::now());
    let mut done = 0;
    loop {
        let over = match until {
            Until::Inputs(wanted) => done >= wanted,
            Until::Elapsed(wanted) => started.elapsed() >= wanted,
        };
        if over || seeds.is_empty() {
            return Ok(done);
        }
        let input = mutate(&mut random, seeds);
        let result = catch_unwind(AssertUnwindSafe(|| check(&input)));
        let what = match result {
            Ok(Ok(())) => None,
            Ok(Err(what)) => Some(what),
            Err(panic) => Some(words(panic.as_ref())),
        };
        if let Some(what) = what {
            return Err(Finding { input, what });
        }
        done += 1;
        if said.elapsed() > PROGRESS {
            said = Instant::now();
            println!("{name}: {done} inputs, {} s", started.elapsed().as_secs());
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_default())
}

/// The same, as a test, of so many inputs where no time is given: a finding is kept in a file, and fails it.
/// `KVORUM_FUZZ_INPUT` names such a file, to be tried alone.
///
/// # Panics
/// With a finding.
pub fn fuzz(
    name: &str,
    inputs: u64,
    seeds: &[Vec<u8>],
    mut check: impl FnMut(&[u8]) -> Result<(), String>,
) {
    if let Some(file) = std::env::var_os("KVORUM_FUZZ_INPUT") {
        let tried = std::fs::read(file).map_err(|error| error.to_string());
        #[expect(clippy::panic, reason = "a test fails by panicking")]
        tried
            .and_then(|input| check(&input))
            .unwrap_or_else(|what| panic!("{name}: {what}"));
        return;
    }
    let until = Until::from_environment(inputs);
    let number = match until {
        Until::Inputs(_) => 1,
        Until::Elapsed(_) => rand::rng().random(),
    };
    match search(name, number, seeds, until, check) {
        Ok(done) => println!("{name}: {done} inputs, nothing found (number {number})"),
        Err(finding) => {
            let file = kept(name);
            let written = std::fs::write(&file, &finding.input);
            let place = written.map_or_else(|e| e.to_string(), |()| file.display().to_string());
            #[expect(clippy::panic, reason = "a test fails by panicking")]
            {
                panic!("{name}: {}; the input: {place}", finding.what)
            }
        }
    }
}

fn kept(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("kvorum-fuzz-{name}.bin"))
}
