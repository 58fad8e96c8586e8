//! Changes of valid inputs.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Numbers at which code that counts goes wrong.
const EDGES: [u64; 10] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// One of the seeds, changed one to eight times.
#[must_use]
pub fn mutate(random: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(1..=8) {
        change(random, &mut input, seeds);
    }
    input
}

fn change(random: &mut StdRng, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    if input.is_empty() {
        input.push(random.random());
        return;
    }
    let at = random.random_range(0..input.len());
    let most = (input.len() - at).min(64);
    let length = random.random_range(1..=most);
    match random.random_range(0..8) {
        0 => input[at] ^= 1 << random.random_range(0..8),
        1 => input[at] = random.random(),
        2 => {
            let edge = EDGES.choose(random).copied().unwrap_or_default();
            let width = [1, 2, 4, 8][random.random_range(0..4)].min(input.len() - at);
            let bytes = if random.random() {
                edge.to_le_bytes()
            } else {
                edge.to_be_bytes()
            };
            input[at..at + width].copy_from_slice(&bytes[..width]);
        }
        3 => drop(input.drain(at..at + length)),
        4 => {
            let block: Vec<u8> = input[at..at + length].to_vec();
            input.splice(at..at, block);
        }
        5 => {
            let block: Vec<u8> = (0..length).map(|_| random.random()).collect();
            input.splice(at..at, block);
        }
        6 => input.truncate(at),
        _ => {
            // The rest of another one.
            let other = seeds.choose(random).cloned().unwrap_or_default();
            input.truncate(at);
            input.extend(other.get(at..).unwrap_or_default());
        }
    }
}
