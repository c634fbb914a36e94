//! The context map: who tells whom what, and who asks whom. Drawn from the contexts themselves.
use std::{collections::BTreeSet, fmt::Write};

use anyhow::Result;

use crate::{
    house::{House, Listener, Room},
    page,
};

/// What the map is called where it stands in a text.
const MAP: &str = "context-map";

/// The map as Markdown: a diagram and two tables.
pub fn draw(house: &House) -> Result<String> {
    let mut map = String::new();
    diagram(&mut map, house)?;
    events(&mut map, house)?;
    calls(&mut map, house)?;
    Ok(map)
}

/// The map that stands in a text.
pub fn found(text: &str) -> Option<&str> {
    page::found(text, MAP)
}

/// A text with the map in its place.
pub fn replaced(text: &str, map: &str) -> Result<String> {
    page::replaced(text, MAP, map)
}

/// Solid arrows ask and wait for the answer, dashed ones tell and do not wait.
fn diagram(map: &mut String, house: &House) -> Result<()> {
    map.push_str("```mermaid\nflowchart LR\n");
    for context in &house.contexts {
        writeln!(map, "  {}", context.name)?;
    }
    for call in &house.calls {
        if !call.caller.is_empty() && !call.callee.is_empty() {
            let rpc = call.rpc.rsplit('.').next().unwrap_or(&call.rpc);
            writeln!(map, "  {} -->|{rpc}| {}", call.caller, call.callee)?;
        }
    }
    for producer in &house.contexts {
        for consumer in &house.contexts {
            let events: BTreeSet<&String> = consumer
                .listeners()
                .map(|listener| &listener.event)
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

/// Every event, with who reacts and who shows it.
fn events(map: &mut String, house: &House) -> Result<()> {
    map.push_str("| Event | Policies | Views |\n|---|---|---|\n");
    for producer in &house.contexts {
        for event in &producer.publishes {
            let name = event.rsplit('.').next().unwrap_or(event);
            let policies = listeners(house, event, |room| &room.policies, |one| Some(&one.name));
            let views = listeners(house, event, |room| &room.views, |_| None);
            writeln!(map, "| `{}.{name}` | {policies} | {views} |", producer.name)?;
        }
    }
    map.push('\n');
    Ok(())
}

/// Every call that waits for an answer.
fn calls(map: &mut String, house: &House) -> Result<()> {
    map.push_str("| Caller | Rpc | Callee |\n|---|---|---|\n");
    let named = |name: &str| match name {
        "" => "every context".to_owned(),
        name => name.to_owned(),
    };
    for call in &house.calls {
        let (asks, answers) = (named(&call.caller), named(&call.callee));
        writeln!(map, "| {asks} | `{}` | {answers} |", call.rpc)?;
    }
    Ok(())
}

/// Who listens to an event: the contexts, each with its listeners by name where they have one.
fn listeners<'h>(
    house: &'h House,
    event: &str,
    of: impl Fn(&'h Room) -> &'h Vec<Listener>,
    name: impl Fn(&'h Listener) -> Option<&'h String>,
) -> String {
    let mut shown = Vec::new();
    for context in &house.contexts {
        let listening = || of(context).iter().filter(|one| one.event == event);
        let names: Vec<String> = listening()
            .filter_map(&name)
            .map(|name| format!("`{name}`"))
            .collect();
        if listening().next().is_some() {
            shown.push(
                format!("{} {}", context.name, names.join(" "))
                    .trim()
                    .to_owned(),
            );
        }
    }
    shown.join(", ")
}
