//! Counting tests from what the test programs print.

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Counts {
    /// Adds what a line says, if it is a summary: `test result: ok. 3 passed; 0 failed; …`.
    pub(crate) fn line(&mut self, line: &str) {
        let Some(summary) = line.trim_start().strip_prefix("test result:") else {
            return;
        };
        let number = |word: &str| {
            let mut words = summary
                .split([' ', ';', '.'])
                .filter(|each| !each.is_empty())
                .rev();
            words
                .find(|each| *each == word)
                .and_then(|_| words.next())
                .and_then(|number| number.parse().ok())
                .unwrap_or(0)
        };
        self.passed += number("passed");
        self.failed += number("failed");
    }

    /// Adds another count.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up_and_other_lines_do_not_count() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 1.05s",
            "it said: 5 passed; 5 failed",
        ] {
            counts.line(line);
        }
        assert_eq!(
            counts,
            Counts {
                passed: 13,
                failed: 2
            }
        );
        assert_eq!(counts.to_string(), "13 passed, 2 failed");
    }
}
