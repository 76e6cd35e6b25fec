//! The buffer between a control plane, a network that loses requests and answers, and a lane that dies anywhere.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Poll;

/// How a beat goes.
#[derive(Debug, Clone, Copy)]
enum Beat {
    /// The request never arrives.
    RequestLost,
    /// The request is heard, its answer never arrives.
    AnswerLost,
    Heard,
    /// Heard, and every mutation is offered twice in its answer.
    Doubled,
    /// The lane panics before (`false`) or after (`true`) the effect of the nth mutation that it performs.
    Panics(usize, bool),
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Beat(Beat),
    /// So many mutations are asked for; every third one fails.
    Ask(usize),
}

/// The control plane: offers what it has asked for until it has heard what became of it.
#[derive(Debug, Default)]
struct Plane {
    asked: usize,
    pending: Vec<PendingMutation>,
    heard: BTreeMap<String, Result<(), String>>,
}

impl Plane {
    fn ask(&mut self, count: usize) {
        for _ in 0..count {
            let id = format!("m-{}", self.asked);
            self.asked += 1;
            let (op, params) = (PendingMutation::SESSION_KILL.to_owned(), serde_json::Value::Null);
            let unknown = String::new;
            self.pending.push(PendingMutation { id, op, params, requested_at: unknown(), requested_by: unknown() });
        }
    }

    fn hear(&mut self, request: &HeartbeatRequest) -> HeartbeatResponse {
        for id in &request.applied_mutations {
            self.heard.insert(id.clone(), Ok(()));
        }
        for MutationFailure { id, error } in &request.mutation_failures {
            self.heard.insert(id.clone(), Err(error.clone()));
        }
        self.pending.retain(|mutation| !self.heard.contains_key(&mutation.id));
        HeartbeatResponse { pending_mutations: self.pending.clone(), ..HeartbeatResponse::default() }
    }
}

fn outcome_of(id: &str) -> Result<(), String> {
    let number: usize = id.trim_start_matches("m-").parse().unwrap();
    if number.is_multiple_of(3) { Err(format!("{id} cannot be done")) } else { Ok(()) }
}

/// What is true of the host, whatever its lane does.
#[derive(Debug, Default)]
struct World {
    plane: Plane,
    /// The organisation's: a lane that dies leaves it in place.
    acks: Acks,
    /// How often each was performed.
    performed: BTreeMap<String, usize>,
    /// Performed, but the lane died before it could note that.
    died_over: BTreeMap<String, usize>,
    /// Noted, and not in a beat that was answered since.
    owed: BTreeSet<String>,
}

impl World {
    fn compose(&self) -> HeartbeatRequest {
        let (applied_mutations, mutation_failures) = self.acks.outcomes();
        HeartbeatRequest { applied_mutations, mutation_failures, ..HeartbeatRequest::default() }
    }

    async fn beat(&mut self, how: Beat) -> Result<(), TestCaseError> {
        let request = self.compose();
        let carried: Vec<_> = carried(&request);
        let distinct: BTreeSet<_> = carried.iter().cloned().collect();
        prop_assert_eq!(&distinct, &self.owed, "a beat carries exactly what is owed");
        prop_assert_eq!(distinct.len(), carried.len(), "and each once");
        if matches!(how, Beat::RequestLost) {
            return Ok(());
        }
        let mut answer = self.plane.hear(&request);
        if matches!(how, Beat::Doubled) {
            answer.pending_mutations.extend(self.plane.pending.clone());
        }
        if matches!(how, Beat::AnswerLost) {
            return Ok(());
        }
        self.owed.clear();
        let (mut nth, mut dying) = (0, None);
        let (performed, owed) = (&mut self.performed, &mut self.owed);
        let perform = |mutation: PendingMutation| {
            let panics = matches!(how, Beat::Panics(at, _) if at == nth);
            nth += 1;
            if matches!(how, Beat::Panics(_, after) if panics && !after) {
                resume_unwind(Box::new("before its effect"));
            }
            *performed.entry(mutation.id.clone()).or_default() += 1;
            if panics {
                dying = Some(mutation.id.clone());
                resume_unwind(Box::new("after its effect"));
            }
            owed.insert(mutation.id.clone());
            ready(outcome_of(&mutation.id))
        };
        let mut answered = Box::pin(self.acks.answered(&request, &answer, perform));
        poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| answered.as_mut().poll(context)));
            polled.unwrap_or(Poll::Ready(()))
        })
        .await;
        drop(answered);
        prop_assert!(self.owed.len() <= MAX_MUTATIONS, "what one answer leads to fits into one beat");
        if let Some(id) = dying {
            *self.died_over.entry(id).or_default() += 1;
        }
        Ok(())
    }

    /// Nothing is heard that was not performed, and what was heard is what became of it.
    fn check(&self) -> Result<(), TestCaseError> {
        for (id, outcome) in &self.plane.heard {
            prop_assert!(self.performed.contains_key(id), "{} is acknowledged and was never performed", id);
            prop_assert_eq!(outcome, &outcome_of(id));
        }
        for (id, times) in &self.performed {
            let died_over = self.died_over.get(id).copied().unwrap_or_default();
            prop_assert!(*times <= died_over + 1, "{} was performed {} times without need", id, times);
        }
        Ok(())
    }
}

fn carried(request: &HeartbeatRequest) -> Vec<String> {
    let failed = request.mutation_failures.iter().map(|failure| failure.id.clone());
    request.applied_mutations.iter().cloned().chain(failed).collect()
}

async fn play(events: Vec<Event>) -> Result<(), TestCaseError> {
    let mut world = World::default();
    for event in events {
        match event {
            Event::Beat(how) => world.beat(how).await?,
            Event::Ask(count) => world.plane.ask(count),
        }
        world.check()?;
    }
    // Whatever was left is done in as many beats as an answer is bounded to, and one that says so.
    for _ in 0..=world.plane.asked.div_ceil(MAX_MUTATIONS) {
        world.beat(Beat::Heard).await?;
    }
    world.check()?;
    prop_assert_eq!(world.plane.heard.len(), world.plane.asked, "each is acknowledged in the end");
    prop_assert!(world.plane.pending.is_empty());
    prop_assert!(world.beat(Beat::Heard).await.is_ok() && world.owed.is_empty());
    Ok(())
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Beat(Beat::RequestLost)),
        2 => Just(Event::Beat(Beat::AnswerLost)),
        3 => Just(Event::Beat(Beat::Heard)),
        1 => Just(Event::Beat(Beat::Doubled)),
        2 => (0..6_usize, any::<bool>()).prop_map(|(nth, after)| Event::Beat(Beat::Panics(nth, after))),
        4 => (1..6_usize).prop_map(Event::Ask),
        1 => Just(Event::Ask(MAX_MUTATIONS)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7734), ..ProptestConfig::with_cases(256) })]

    #[test]
    fn outcomes_are_told_at_least_once_and_never_lost(events in prop::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(events))?;
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_to_repeat_is_left_out() {
    let acks = Acks::default();
    let id = "x".repeat(MAX_TEXT + 1);
    let pending_mutations = vec![serde_json::from_value(serde_json::json!({ "id": id })).unwrap()];
    let answer = HeartbeatResponse { pending_mutations, ..HeartbeatResponse::default() };
    acks.answered(&HeartbeatRequest::default(), &answer, |_| -> std::future::Ready<_> { panic!("performed") }).await;
    assert_eq!(acks.outcomes(), (Vec::new(), Vec::new()));
}
