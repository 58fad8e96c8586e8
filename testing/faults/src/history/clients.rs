//! Clients that ask at random and record what they were told.

use super::requests::send;
use super::{Action, Answer, Condition, Entry, KEYS, Operation, Request};
use crate::limits::{ASK_TIMEOUT, CLIENT_PAUSE};
use kvorum_processes::Client;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One client.
pub struct Asker {
    number: usize,
    clients: Vec<Client>,
    random: StdRng,
    /// What it last saw of each key.
    seen: BTreeMap<usize, Entry>,
    values: u64,
    started: Instant,
}

impl Asker {
    /// With these members to ask; everything it does follows from the seed.
    #[must_use]
    pub fn new(number: usize, clients: Vec<Client>, seed: u64, started: Instant) -> Self {
        Self {
            number,
            clients,
            random: StdRng::seed_from_u64(seed),
            seen: BTreeMap::new(),
            values: 0,
            started,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn act(&mut self, kind: &'static str, key: usize) -> Action {
        self.values += 1;
        let put = kind == "put";
        Action {
            kind,
            key,
            value: if put {
                // Never the same twice: a value says who put it.
                format!("{}-{}", self.number, self.values)
            } else {
                String::new()
            },
        }
    }

    /// Something to ask.
    fn request(&mut self) -> Request {
        let mut keys: Vec<usize> = (0..KEYS).collect();
        keys.shuffle(&mut self.random);
        let [one, two, three, ..] = keys[..] else {
            return Request::default();
        };
        let known = self.seen.get(&one).cloned().unwrap_or_default();
        let when = |field, is, number, text: &str| Condition {
            key: one,
            field,
            is,
            number,
            text: text.to_owned(),
        };
        match self.random.random_range(0..100) {
            0..30 => Request {
                success: vec![self.act("get", one)],
                ..Request::default()
            },
            30..58 => Request {
                success: vec![self.act("put", one)],
                ..Request::default()
            },
            58..64 => Request {
                success: vec![self.act("delete", one)],
                ..Request::default()
            },
            // Change it if nobody else did, as every controller does.
            64..76 => Request {
                conditions: vec![when("mod", "=", known.modified, "")],
                success: vec![self.act("put", one), self.act("get", two)],
                failure: vec![self.act("get", one)],
            },
            76..84 => Request {
                conditions: vec![when("version", "=", 0, "")],
                success: vec![self.act("put", one)],
                failure: vec![self.act("put", two), self.act("get", one)],
            },
            84..92 => Request {
                success: vec![
                    self.act("put", one),
                    self.act("put", two),
                    self.act("get", three),
                ],
                ..Request::default()
            },
            92..96 => Request {
                conditions: vec![when("value", "=", 0, &known.value)],
                success: vec![self.act("delete", one), self.act("put", two)],
                failure: vec![self.act("get", three), self.act("get", one)],
            },
            _ => Request {
                conditions: vec![when("create", ">", known.create, "")],
                success: vec![self.act("get", one), self.act("get", two)],
                failure: vec![self.act("get", two)],
            },
        }
    }

    fn learn(&mut self, request: &Request, answer: &Answer) {
        let actions = if answer.succeeded {
            &request.success
        } else {
            &request.failure
        };
        for (action, reply) in actions.iter().zip(&answer.replies) {
            if let Some(found) = &reply.found {
                self.seen.insert(action.key, found.clone());
            }
        }
    }

    /// Asks until told to stop; everything it asked.
    pub async fn run(mut self, stop: Arc<AtomicBool>) -> Vec<Operation> {
        let mut recorded = Vec::new();
        let mut at = self.number;
        while !stop.load(Ordering::SeqCst) {
            let request = self.request();
            let called = self.now();
            let Some(client) = self.clients.get(at % self.clients.len()) else {
                break;
            };
            let answered = tokio::time::timeout(ASK_TIMEOUT, send(client, &request)).await;
            let returned = self.now();
            let answer = answered.ok().and_then(Result::ok);
            match &answer {
                Some(answer) => self.learn(&request, answer),
                None => at += 1,
            }
            recorded.push(Operation {
                client: self.number,
                called,
                returned: answer.is_some().then_some(returned),
                request,
                answer: answer.unwrap_or_default(),
            });
            let most = u64::try_from(CLIENT_PAUSE.as_micros()).unwrap_or(0);
            let pause = Duration::from_micros(self.random.random_range(0..=most));
            tokio::time::sleep(pause).await;
        }
        recorded
    }
}
