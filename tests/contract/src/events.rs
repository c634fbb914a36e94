//! What the contexts tell each other.
use std::collections::{BTreeMap, BTreeSet};

use crate::house::House;

/// A context publishes messages of its own `events.proto`.
pub fn own(house: &House) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in &house.contexts {
        let package = format!("berth.{}.v1.", context.name);
        for event in &context.publishes {
            if !house.events.contains(event) {
                wrong.push(format!("{event}: no message of an events.proto"));
            }
            if !event.starts_with(&package) {
                wrong.push(format!("{event}: published by {}", context.name));
            }
        }
    }
    wrong
}

/// Every event is published, by one context and once.
pub fn published(house: &House) -> Vec<String> {
    let all = || house.contexts.iter().flat_map(|context| &context.publishes);
    let count = |event: &String| all().filter(|published| *published == event).count();
    let mut events: BTreeSet<&String> = all().collect();
    events.extend(&house.events);
    events
        .into_iter()
        .map(|event| (event, count(event)))
        .filter(|(_, count)| *count != 1)
        .map(|(event, count)| format!("{event}: published {count} times"))
        .collect()
}

/// Whoever listens listens to something that somebody publishes.
pub fn heard(house: &House) -> Vec<String> {
    let published: BTreeSet<&String> = house
        .contexts
        .iter()
        .flat_map(|context| &context.publishes)
        .collect();
    let mut wrong = Vec::new();
    for context in &house.contexts {
        for listener in context.listeners() {
            if !published.contains(&listener.event) {
                wrong.push(format!(
                    "{} {}: nobody publishes {}",
                    context.name, listener.name, listener.event
                ));
            }
        }
    }
    wrong
}

/// The slug of a policy is in kebab-case, and there is one of it in a context.
pub fn slugs(house: &House) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in &house.contexts {
        let mut taken = BTreeMap::new();
        for policy in &context.policies {
            let slug = &policy.name;
            if !is_kebab(slug) {
                wrong.push(format!("{} {slug}: is not kebab-case", context.name));
            }
            if let Some(other) = taken.insert(slug, &policy.event) {
                wrong.push(format!(
                    "{} {slug}: of both {other} and {}",
                    context.name, policy.event
                ));
            }
        }
    }
    wrong
}

/// Who is called by name is there. The log of a context is called by the context's name and `.log`.
pub fn peers(house: &House) -> Vec<String> {
    let is_there = |peer: &str| {
        let name = peer.strip_suffix(".log").unwrap_or(peer);
        house.contexts.iter().any(|context| context.name == name)
    };
    let mut wrong = Vec::new();
    for context in &house.contexts {
        for peer in context.peers.iter().filter(|peer| !is_there(peer)) {
            wrong.push(format!(
                "{}: calls {peer}, which is no context",
                context.name
            ));
        }
    }
    wrong
}

/// Every policy by its slug: one line each, for ever.
pub fn print(house: &House) -> String {
    let mut lines: Vec<String> = house
        .contexts
        .iter()
        .flat_map(|context| {
            let line = |slug, event| format!("{}/{slug} whenever {event}", context.name);
            context
                .policies
                .iter()
                .map(move |policy| line(&policy.name, &policy.event))
        })
        .collect();
    lines.sort();
    lines.join("\n") + "\n"
}

fn is_kebab(slug: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    slug.split('-').all(is_word)
}
