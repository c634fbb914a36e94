//! What the code says about the platform that a chart must deploy.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::{ArgAction, Command};
use prost_reflect::DescriptorPool;

use crate::{
    contracts::{contracts, methods},
    model::{Model, served},
    operating::commands,
    rpcs::repeated,
    sources::{self, Tree},
};

/// The platform as its chart must deploy it.
#[derive(Clone, Debug, Default)]
pub struct Platform {
    /// The contexts.
    pub contexts: BTreeSet<String>,
    /// The rpcs of the public ports.
    pub rpcs: Vec<Rpc>,
    /// Caller and callee of calls to public ports.
    pub calls: BTreeSet<(String, String)>,
    /// Consumer and producer: the consumer reads the log on the producer's admin port.
    pub reads: BTreeSet<(String, String)>,
    /// Caller and rpc (`berth.room.v1.OfferService/GetOffer`) of the calls that a request waits for.
    pub waits: BTreeSet<(String, String)>,
    /// The environment variables of all commands, and whether their value is secret.
    pub variables: BTreeMap<String, bool>,
    /// The defaults of settings, by variable.
    pub defaults: BTreeMap<String, String>,
    /// The subcommands of a context and of `berth`.
    pub subcommands: BTreeSet<String>,
}

/// An rpc of a public port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rpc {
    /// The context that serves it.
    pub context: String,
    /// `berth.room.v1.RoomService`.
    pub service: String,
    /// `GetRoom`.
    pub method: String,
    /// Whether a repeat has no further effect.
    pub repeatable: bool,
    /// Whether it has a stream of requests or responses.
    pub streaming: bool,
}

impl Platform {
    /// The platform of the real code.
    pub fn read() -> Result<Self> {
        let (pool, tree) = (contracts()?, sources::read()?);
        Ok(Self::of(
            &Model::read()?,
            &pool,
            &tree,
            &commands(&all::contexts()),
        ))
    }

    /// The platform of some contexts, contracts, sources and command lines.
    pub fn of(
        model: &Model,
        pool: &DescriptorPool,
        tree: &Tree,
        commands: &BTreeMap<String, Command>,
    ) -> Self {
        let contexts: BTreeSet<String> =
            model.contexts.iter().map(|one| one.name.clone()).collect();
        let subcommands = commands.keys().filter_map(|name| name.split_once(' '));
        Self {
            rpcs: contexts
                .iter()
                .flat_map(|context| rpcs(context, pool, tree))
                .collect(),
            calls: calls(model),
            reads: reads(model),
            waits: waits(model, pool),
            variables: variables(commands),
            defaults: defaults(commands),
            subcommands: subcommands.map(|(_, name)| name.to_owned()).collect(),
            contexts,
        }
    }

    /// All contexts in one process: nothing is called or read through a port.
    #[must_use]
    pub fn in_one_process(self) -> Self {
        Self {
            contexts: BTreeSet::from(["berth".to_owned()]),
            rpcs: Vec::new(),
            calls: BTreeSet::new(),
            reads: BTreeSet::new(),
            waits: BTreeSet::new(),
            ..self
        }
    }
}

/// The rpcs of the services that a context serves on its public port.
fn rpcs(context: &str, pool: &DescriptorPool, tree: &Tree) -> Vec<Rpc> {
    let services = served(context, pool, tree);
    let methods = services.iter().flat_map(|service| {
        let methods: Vec<_> = service.methods().collect();
        methods
    });
    methods
        .map(|method| Rpc {
            context: context.to_owned(),
            service: method.parent_service().full_name().to_owned(),
            method: method.name().to_owned(),
            repeatable: matches!(repeated(&method), Some("NO_SIDE_EFFECTS" | "IDEMPOTENT")),
            streaming: method.is_client_streaming() || method.is_server_streaming(),
        })
        .collect()
}

/// Calls to public ports. A call of the chassis is made by every context; logs are read on admin ports.
fn calls(model: &Model) -> BTreeSet<(String, String)> {
    let public = model.calls.iter().filter(|call| !call.callee.is_empty());
    let pairs = public.flat_map(|call| {
        let every = model.contexts.iter().map(|context| &context.name);
        let callers = every.filter(|name| call.caller.is_empty() || call.caller == **name);
        callers.map(|caller| (caller.clone(), call.callee.clone()))
    });
    pairs.filter(|(caller, callee)| caller != callee).collect()
}

/// Who consumes events of whom.
fn reads(model: &Model) -> BTreeSet<(String, String)> {
    let mut reads = BTreeSet::new();
    for consumer in &model.contexts {
        for producer in &model.contexts {
            let mut consumed = consumer.subscribers().map(|subscriber| &subscriber.event);
            if consumer.name != producer.name
                && consumed.any(|event| producer.publishes.contains(event))
            {
                reads.insert((consumer.name.clone(), producer.name.clone()));
            }
        }
    }
    reads
}

/// Calls that a context itself makes, by the full name of the rpc.
fn waits(model: &Model, pool: &DescriptorPool) -> BTreeSet<(String, String)> {
    let mut waits = BTreeSet::new();
    for method in methods(pool) {
        let service = method.parent_service();
        let short = format!("{}.{}", service.name(), method.name());
        let own = model
            .calls
            .iter()
            .filter(|call| call.rpc == short && !call.caller.is_empty());
        waits.extend(own.map(|call| {
            (
                call.caller.clone(),
                format!("{}/{}", service.full_name(), method.name()),
            )
        }));
    }
    waits
}

fn defaults(commands: &BTreeMap<String, Command>) -> BTreeMap<String, String> {
    let flags = commands.values().flat_map(Command::get_arguments);
    let with_default = flags.filter_map(|flag| {
        let value = flag.get_default_values().first()?.to_str()?.to_owned();
        Some((flag.get_env()?.to_str()?.to_owned(), value))
    });
    with_default.collect()
}

fn variables(commands: &BTreeMap<String, Command>) -> BTreeMap<String, bool> {
    let flags = commands.values().flat_map(Command::get_arguments);
    let named = flags.filter_map(|flag| {
        let name = flag.get_env()?.to_str()?.to_owned();
        let is_secret =
            flag.is_hide_env_values_set() && !matches!(flag.get_action(), ArgAction::SetTrue);
        Some((name, is_secret))
    });
    named.collect()
}
