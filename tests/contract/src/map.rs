//! The context map: events and calls between contexts, drawn from the contexts themselves.
use std::{collections::BTreeSet, fmt::Write};

use anyhow::Result;

use crate::{
    model::{ContextModel, Model, Subscriber},
    page,
};

/// The name of the map's part of a page.
const MAP: &str = "context-map";

/// The map as Markdown: a diagram and two tables.
pub fn draw(model: &Model) -> Result<String> {
    let mut map = String::new();
    diagram(&mut map, model)?;
    events(&mut map, model)?;
    calls(&mut map, model)?;
    Ok(map)
}

/// The map in a text.
pub fn found(text: &str) -> Option<&str> {
    page::found(text, MAP)
}

/// A text with its map replaced.
pub fn replaced(text: &str, map: &str) -> Result<String> {
    page::replaced(text, MAP, map)
}

/// Solid arrows are calls, dashed arrows are events.
fn diagram(map: &mut String, model: &Model) -> Result<()> {
    map.push_str("```mermaid\nflowchart LR\n");
    for context in &model.contexts {
        writeln!(map, "  {}", context.name)?;
    }
    for call in &model.calls {
        if !call.caller.is_empty() && !call.callee.is_empty() {
            let rpc = call.rpc.rsplit('.').next().unwrap_or(&call.rpc);
            writeln!(map, "  {} -->|{rpc}| {}", call.caller, call.callee)?;
        }
    }
    for producer in &model.contexts {
        for consumer in &model.contexts {
            let events: BTreeSet<&String> = consumer
                .subscribers()
                .map(|subscriber| &subscriber.event)
                .filter(|event| producer.publishes.contains(event))
                .collect();
            if producer.name != consumer.name && !events.is_empty() {
                let (from, to) = (&producer.name, &consumer.name);
                let plural = if events.len() == 1 { "" } else { "s" };
                writeln!(map, "  {from} -.->|{} event{plural}| {to}", events.len())?;
            }
        }
    }
    map.push_str("```\n\n");
    Ok(())
}

/// Every event, with its policies and views.
fn events(map: &mut String, model: &Model) -> Result<()> {
    map.push_str("| Event | Policies | Views |\n|---|---|---|\n");
    for producer in &model.contexts {
        for event in &producer.publishes {
            let name = event.rsplit('.').next().unwrap_or(event);
            let policies = subscribers(
                model,
                event,
                |context| &context.policies,
                |one| Some(&one.name),
            );
            let views = subscribers(model, event, |context| &context.views, |_| None);
            writeln!(map, "| `{}.{name}` | {policies} | {views} |", producer.name)?;
        }
    }
    map.push('\n');
    Ok(())
}

/// Every call between contexts.
fn calls(map: &mut String, model: &Model) -> Result<()> {
    map.push_str("| Caller | Rpc | Callee |\n|---|---|---|\n");
    let named = |name: &str| match name {
        "" => "every context".to_owned(),
        name => name.to_owned(),
    };
    for call in &model.calls {
        let (from, to) = (named(&call.caller), named(&call.callee));
        writeln!(map, "| {from} | `{}` | {to} |", call.rpc)?;
    }
    Ok(())
}

/// The contexts that consume an event, each with its subscribers by name where they have one.
fn subscribers<'m>(
    model: &'m Model,
    event: &str,
    of: impl Fn(&'m ContextModel) -> &'m Vec<Subscriber>,
    name: impl Fn(&'m Subscriber) -> Option<&'m String>,
) -> String {
    let mut shown = Vec::new();
    for context in &model.contexts {
        let subscribed = || of(context).iter().filter(|one| one.event == event);
        let names: Vec<String> = subscribed()
            .filter_map(&name)
            .map(|name| format!("`{name}`"))
            .collect();
        if subscribed().next().is_some() {
            shown.push(
                format!("{} {}", context.name, names.join(" "))
                    .trim()
                    .to_owned(),
            );
        }
    }
    shown.join(", ")
}
