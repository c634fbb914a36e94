//! The connections between contexts: peers, logs and the bus.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    client::peers::Peers,
    messaging::{bus::Bus, in_process::InProcess, jetstream::JetStream, log_reader::LogReader},
    runtime::{
        context::Context, context_runtime::Wiring, options::Options, remote_log::RemoteLog,
        start_error::StartError,
    },
    security::service_identity::admin_port_of,
    store::Store,
};

/// Connects the contexts of this process with each other and with those of other processes.
pub(super) async fn connect(
    options: &Options,
    contexts: &[Context],
    stores: &[Store],
    peers: &Peers,
) -> Result<Wiring, StartError> {
    let add_peer = |name: &str, address: &str| {
        let added = peers.add_remote(name, address);
        added.map_err(|error| StartError::Address(name.to_owned(), error))
    };
    for (context, address) in &options.peers.0 {
        add_peer(context, address)?;
    }
    let reader = contexts.first().map_or("berth", |context| context.name);
    let mut logs: BTreeMap<String, Arc<dyn LogReader>> = BTreeMap::new();
    for (context, address) in &options.logs.0 {
        add_peer(&admin_port_of(context), address)?;
        let log = RemoteLog {
            context: context.clone(),
            peer: peers.called_by(reader).to(&admin_port_of(context)),
        };
        logs.insert(context.clone(), Arc::new(log));
    }
    for store in stores {
        logs.insert(store.context().to_owned(), Arc::new(store.clone()));
    }
    for context in contexts {
        warn_of_missing_logs(context, &logs);
    }
    Ok(Wiring {
        peers: peers.clone(),
        bus: bus(options, &logs).await?,
        logs: Arc::new(logs),
        // The issuer of tokens needs the settings of their verifiers.
        settings: options
            .settings
            .clone()
            .with(options.config.trust.clone())
            .with(options.config.lead.clone()),
    })
}

async fn bus(
    options: &Options,
    logs: &BTreeMap<String, Arc<dyn LogReader>>,
) -> Result<Arc<dyn Bus>, StartError> {
    let nats = &options.config.nats;
    if let Some(bus) = &options.bus {
        Ok(bus.clone())
    } else if nats.nats_url.is_some() {
        let bus = JetStream::connect(nats, &options.process, logs.clone()).await?;
        Ok(Arc::new(bus))
    } else if options.logs.0.is_empty() {
        Ok(InProcess::new())
    } else {
        Err(StartError::NoBroker)
    }
}

fn warn_of_missing_logs(context: &Context, logs: &BTreeMap<String, Arc<dyn LogReader>>) {
    for producer in context.listens_to() {
        if !logs.contains_key(&producer) {
            tracing::warn!(
                context = context.name,
                producer,
                "events of the producer are not consumed: its log is not configured"
            );
        }
    }
}
