//! The contexts as the rules see them: what each publishes, consumes and calls.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chassis::Context;
use prost_reflect::{DescriptorPool, ServiceDescriptor};

use crate::{
    code::Code,
    contracts::{contracts, events, services, snake},
    sources::{self, Tree},
};

/// The crate with the code that every context shares.
const CHASSIS: &str = "chassis";

/// The contexts of the platform and the contracts between them.
#[derive(Clone, Debug)]
pub struct Model {
    /// The contexts.
    pub contexts: Vec<ContextModel>,
    /// The messages of every `events.proto`.
    pub events: Vec<String>,
    /// Calls between contexts. Calls of the chassis are made by every context.
    pub calls: Vec<Call>,
}

/// A context.
#[derive(Clone, Debug, Default)]
pub struct ContextModel {
    /// Its name.
    pub name: String,
    /// The events it publishes.
    pub publishes: Vec<String>,
    /// Its policies.
    pub policies: Vec<Subscriber>,
    /// Its projections.
    pub views: Vec<Subscriber>,
    /// The peers that it calls by name.
    pub peers: Vec<String>,
}

/// A policy or a projection.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The slug of a policy, or the function of a projection.
    pub name: String,
    /// The event that it consumes.
    pub event: String,
}

/// A call from one context to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The caller; empty for every context.
    pub caller: String,
    /// `OfferService.GetOffer`.
    pub rpc: String,
    /// The callee; empty for every context.
    pub callee: String,
}

impl Model {
    /// The model of the real contexts.
    pub fn read() -> Result<Self> {
        Ok(Self::of(&all::contexts(), &contracts()?, &sources::read()?))
    }

    /// The model of some contexts, contracts and sources.
    pub fn of(contexts: &[Context], pool: &DescriptorPool, tree: &Tree) -> Self {
        let names = contexts.iter().map(|context| context.name);
        let sources: Sources = names
            .chain([CHASSIS])
            .map(|name| (name, sources_of(name, tree)))
            .collect();
        let calls: BTreeSet<Call> = services(pool)
            .flat_map(|service| calls(&service, &sources))
            .collect();
        let contexts = contexts
            .iter()
            .map(|context| ContextModel::of(context, &sources));
        Self {
            contexts: contexts.collect(),
            events: events(pool)
                .map(|event| event.full_name().to_owned())
                .collect(),
            calls: calls.into_iter().collect(),
        }
    }

    /// The context with a name.
    pub fn context(&mut self, name: &str) -> Option<&mut ContextModel> {
        self.contexts
            .iter_mut()
            .find(|context| context.name == name)
    }
}

impl ContextModel {
    fn of(context: &Context, sources: &Sources) -> Self {
        let policies = context.policies.iter().map(|policy| Subscriber {
            name: policy.slug.to_owned(),
            event: policy.event_type.clone(),
        });
        let views = context.views.iter().map(|view| Subscriber {
            name: function(view.name),
            event: view.event_type.clone(),
        });
        Self {
            name: context.name.to_owned(),
            publishes: context.publishes.iter().map(|event| event.name()).collect(),
            policies: policies.collect(),
            views: views.collect(),
            peers: sources
                .get(context.name)
                .into_iter()
                .flatten()
                .flat_map(peers)
                .collect(),
        }
    }

    /// Its policies and projections.
    pub fn subscribers(&self) -> impl Iterator<Item = &Subscriber> {
        self.policies.iter().chain(&self.views)
    }
}

/// `keep_status` of `reservation::views::keep_status<berth::…>`.
fn function(path: &str) -> String {
    let plain = path.split('<').next().unwrap_or(path);
    plain.rsplit("::").next().unwrap_or(plain).to_owned()
}

/// The services that a context serves on its public port: those of which it creates a server.
pub fn served(context: &str, pool: &DescriptorPool, tree: &Tree) -> Vec<ServiceDescriptor> {
    let code = sources_of(context, tree);
    services(pool)
        .filter(|service| {
            let server = server(service);
            code.iter().any(|code| code.contains(&server))
        })
        .collect()
}

/// What creates a server of a service.
fn server(service: &ServiceDescriptor) -> String {
    format!("{}Server::new(", service.name())
}

/// The code of each context and of the chassis.
type Sources = BTreeMap<&'static str, Vec<Code>>;

/// The code of a context or the chassis, without its tests.
fn sources_of(name: &str, tree: &Tree) -> Vec<Code> {
    let src = format!("services/{name}/src/");
    tree.iter()
        .filter(|(path, _)| path.starts_with(&src))
        .map(|(_, text)| Code::of(text).without_tests())
        .collect()
}

/// The names in `…Client::new(….to("payment"))`.
fn peers(code: &Code) -> Vec<String> {
    let is_call = |line: &String| line.contains("Client::new(") && line.contains(".to(");
    let texts = code.literals.iter().filter(|(at, text)| {
        let line = code.lines.get(at);
        line.is_some_and(is_call) && text.starts_with('"')
    });
    texts
        .map(|(_, name)| name.trim_matches('"').to_owned())
        .collect()
}

/// The calls of a service's rpcs. A file that creates a client of the service calls the rpcs whose methods it uses; a crate that
/// creates a server of it is the callee.
fn calls(service: &ServiceDescriptor, sources: &Sources) -> Vec<Call> {
    let shown = |name: &str| if name == CHASSIS { "" } else { name }.to_owned();
    let (client, server) = (format!("{}Client::new(", service.name()), server(service));
    let mut calls = Vec::new();
    for (caller, files) in sources {
        for code in files.iter().filter(|code| code.contains(&client)) {
            for method in service.methods() {
                if !code.contains(&format!(".{}(", snake(method.name()))) {
                    continue;
                }
                let is_callee = |files: &Vec<Code>| files.iter().any(|code| code.contains(&server));
                for (callee, _) in sources.iter().filter(|(_, files)| is_callee(files)) {
                    calls.push(Call {
                        caller: shown(caller),
                        rpc: format!("{}.{}", service.name(), method.name()),
                        callee: shown(callee),
                    });
                }
            }
        }
    }
    calls
}
