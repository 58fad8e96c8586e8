//! Goal: the search finds what is there to be found. Method: readers with a mistake planted in each.

use kvorum_fuzz::{Until, search};

/// Reads blocks, each behind its length; as a hurried person would write it.
#[expect(clippy::indexing_slicing, reason = "the planted mistake")]
fn read(input: &[u8]) -> Vec<&[u8]> {
    let (mut at, mut blocks) = (0, Vec::new());
    while at < input.len() {
        let length = usize::from(input[at]);
        blocks.push(&input[at + 1..at + 1 + length]);
        at += 1 + length;
    }
    blocks
}

#[test]
fn a_length_that_nobody_checked_is_found() {
    let seeds = [b"\x03abc\x02de".to_vec()];
    assert_eq!(read(&seeds[0]).len(), 2);
    let finding = search("planted", 1, &seeds, Until::Inputs(1000), |input| {
        read(input);
        Ok(())
    });
    assert!(finding.unwrap_err().what.contains("out of range"));
}

#[test]
fn a_wrong_answer_is_found() {
    let seeds = [vec![7; 32]];
    let finding = search("planted", 1, &seeds, Until::Inputs(100_000), |input| {
        // A header that only one byte is left of.
        let lost = input.len() == 1;
        if lost { Err("lost".to_owned()) } else { Ok(()) }
    });
    assert_eq!(finding.unwrap_err().what, "lost");
}
