//! Kits that need each other, and kits that rule each other out.

use super::rules::contains;
use super::{Match, Rejection, shown_root};
use crate::manifest::Order;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Kits that apply and do not go together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// Several foundations claim one directory.
    Foundations {
        /// The directory.
        root: String,
        /// Ids, sorted.
        kits: Vec<String>,
    },
    /// One kit says that it does not go with the other.
    RuledOut {
        /// Ids, sorted.
        kits: Vec<String>,
    },
}

impl Conflict {
    /// Ids of the kits, sorted.
    #[must_use]
    pub fn kits(&self) -> &[String] {
        match self {
            Self::Foundations { kits, .. } | Self::RuledOut { kits } => kits,
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foundations { root, kits } => {
                write!(f, "multiple foundation kits matched in {}: [{}]", shown_root(root), kits.join(", "))
            }
            Self::RuledOut { kits } => write!(f, "kits that conflict with each other matched: [{}]", kits.join(", ")),
        }
    }
}

/// Moves kits whose dependencies do not apply around them to the rejected ones, until nothing changes.
pub(super) fn drop_dependents(matches: &mut Vec<Match>, rejected: &mut Vec<Rejection>) {
    loop {
        let lacking: Vec<Option<String>> = matches.iter().map(|found| lacks(found, matches)).collect();
        if lacking.iter().all(Option::is_none) {
            return;
        }
        let all = std::mem::take(matches);
        for (found, lacks) in all.into_iter().zip(lacking) {
            match lacks {
                None => matches.push(found),
                Some(reason) => rejected.push(Rejection { kit: found.kit, reason }),
            }
        }
    }
}

fn lacks(found: &Match, matches: &[Match]) -> Option<String> {
    let needs = &found.kit.manifest.depends_on;
    // A dependency applies where the kit does, or around it.
    let around: Vec<&Match> =
        matches.iter().filter(|other| other.kit.id() != found.kit.id() && contains(&other.root, &found.root)).collect();
    let kit = needs.kits.iter().find(|id| !around.iter().any(|other| other.kit.id().as_str() == id.as_str()));
    if let Some(id) = kit {
        return Some(format!("it depends on {id}, which does not apply to {}", shown_root(&found.root)));
    }
    let provided: BTreeSet<&String> =
        around.iter().flat_map(|other| &other.kit.manifest.provides.capabilities).collect();
    let capability = needs.capabilities.iter().find(|name| !provided.contains(name))?;
    Some(format!("it depends on {capability}, which no kit provides for {}", shown_root(&found.root)))
}

/// All conflicts, sorted.
pub(super) fn conflicts(matches: &[Match]) -> Vec<Conflict> {
    let mut foundations: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for one in matches {
        let rules = &one.kit.manifest.composition;
        if rules.group() == Order::Foundation {
            foundations.entry(&one.root).or_default().insert(one.kit.id().to_string());
        }
        let overlaps = |other: &&Match| contains(&one.root, &other.root) || contains(&other.root, &one.root);
        for other in matches.iter().filter(overlaps) {
            if rules.conflicts_with.iter().any(|id| id == other.kit.id().as_str()) && one.kit.id() != other.kit.id() {
                let kits = BTreeSet::from([one.kit.id().to_string(), other.kit.id().to_string()]);
                found.insert(Conflict::RuledOut { kits: kits.into_iter().collect() });
            }
        }
    }
    let several = foundations.into_iter().filter(|(_, kits)| kits.len() > 1);
    found.extend(
        several.map(|(root, kits)| Conflict::Foundations { root: root.to_owned(), kits: kits.into_iter().collect() }),
    );
    found.into_iter().collect()
}
