//! Rules for events between contexts.
use std::collections::{BTreeMap, BTreeSet};

use crate::model::Model;

/// A context publishes messages of its own `events.proto`.
pub fn own(model: &Model) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in &model.contexts {
        let package = format!("berth.{}.v1.", context.name);
        for event in &context.publishes {
            if !model.events.contains(event) {
                wrong.push(format!("{event}: no message of an events.proto"));
            }
            if !event.starts_with(&package) {
                wrong.push(format!("{event}: published by {}", context.name));
            }
        }
    }
    wrong
}

/// Every event is published by one context, once.
pub fn published(model: &Model) -> Vec<String> {
    let all = || model.contexts.iter().flat_map(|context| &context.publishes);
    let count = |event: &String| all().filter(|published| *published == event).count();
    let mut events: BTreeSet<&String> = all().collect();
    events.extend(&model.events);
    events
        .into_iter()
        .map(|event| (event, count(event)))
        .filter(|(_, count)| *count != 1)
        .map(|(event, count)| format!("{event}: published {count} times"))
        .collect()
}

/// Every consumed event is published.
pub fn consumed(model: &Model) -> Vec<String> {
    let published: BTreeSet<&String> = model
        .contexts
        .iter()
        .flat_map(|context| &context.publishes)
        .collect();
    let mut wrong = Vec::new();
    for context in &model.contexts {
        for subscriber in context.subscribers() {
            if !published.contains(&subscriber.event) {
                wrong.push(format!(
                    "{} {}: no context publishes {}",
                    context.name, subscriber.name, subscriber.event
                ));
            }
        }
    }
    wrong
}

/// The slug of a policy is in kebab-case and unique in its context.
pub fn slugs(model: &Model) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in &model.contexts {
        let mut slugs = BTreeMap::new();
        for policy in &context.policies {
            let slug = &policy.name;
            if !is_kebab(slug) {
                wrong.push(format!("{} {slug}: is not kebab-case", context.name));
            }
            if let Some(other) = slugs.insert(slug, &policy.event) {
                wrong.push(format!(
                    "{} {slug}: of both {other} and {}",
                    context.name, policy.event
                ));
            }
        }
    }
    wrong
}

/// Every peer that is called exists. The log of a context is the peer `<context>.log`.
pub fn peers(model: &Model) -> Vec<String> {
    let is_there = |peer: &str| {
        let name = peer.strip_suffix(".log").unwrap_or(peer);
        model.contexts.iter().any(|context| context.name == name)
    };
    let mut wrong = Vec::new();
    for context in &model.contexts {
        for peer in context.peers.iter().filter(|peer| !is_there(peer)) {
            wrong.push(format!(
                "{}: calls {peer}, which is no context",
                context.name
            ));
        }
    }
    wrong
}

/// Every policy by its slug, one line each. A line is never removed.
pub fn print(model: &Model) -> String {
    let mut lines: Vec<String> = model
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
