//! `provision`: makes what contexts need at the broker, or changes it to what it should be, and ends. A process makes what is
//! missing by itself; this is for those who prefer to see it made, and for settings that have changed.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value, json};

use crate::{
    cli::{subcommand::Subcommand, usage},
    messaging::jetstream::{JetStream, NatsSettings, Permissions},
    runtime::context::Context,
};

/// The subcommand.
pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    name: "provision",
    command,
    run: play,
};

/// What it is told.
#[derive(Args, Clone, Debug)]
struct Provision {
    #[command(flatten)]
    nats: NatsSettings,
    /// Only tell what the user of each context must be allowed at NATS, as a piece of its configuration
    #[arg(long, env = "BERTH_NATS_SHOW_PERMISSIONS")]
    show_permissions: bool,
}

fn command() -> Command {
    let about =
        "Makes streams and consumers at NATS, or changes them to what they should be, and ends";
    Provision::augment_args(Command::new(SUBCOMMAND.name)).about(about)
}

fn play(process: &str, contexts: &[Context], matches: &ArgMatches) -> ExitCode {
    let told = match Provision::from_arg_matches(matches) {
        Ok(told) => told,
        Err(error) => return usage::refuse(&error),
    };
    if told.show_permissions {
        let permissions = contexts.iter().map(|context| {
            let permissions =
                JetStream::permissions(&told.nats, context.name, &context.consumers());
            (context.name.to_owned(), configuration(&permissions))
        });
        let all: Map<String, Value> = permissions.collect();
        say(&format!("{:#}", Value::Object(all)));
        return ExitCode::SUCCESS;
    }
    if told.nats.nats_url.is_none() {
        usage::fail(&"--nats-url is missing");
        return ExitCode::from(usage::USAGE);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(provision(process, contexts, &told.nats)),
        Err(error) => usage::fail(&error),
    }
}

async fn provision(process: &str, contexts: &[Context], settings: &NatsSettings) -> ExitCode {
    let bus = match JetStream::connect(settings, process, [].into()).await {
        Ok(bus) => bus,
        Err(error) => {
            usage::fail(&error);
            return ExitCode::from(usage::USAGE);
        }
    };
    if let Err(error) = bus.connected().await {
        return usage::fail(&error);
    }
    // All streams first: the consumers of one context are on the streams of others.
    for consumers_too in [false, true] {
        for context in contexts {
            let consumers = if consumers_too {
                context.consumers()
            } else {
                Vec::new()
            };
            match bus.provision(context.name, &consumers).await {
                Ok(done) if consumers_too => say(&format!("{}: {}", context.name, done.join(", "))),
                Ok(_) => {}
                Err(error) => return usage::fail(&format!("{}: {error}", context.name)),
            }
        }
    }
    ExitCode::SUCCESS
}

/// As it stands in the configuration of NATS.
fn configuration(permissions: &Permissions) -> Value {
    json!({
        "publish": {"allow": permissions.publish},
        "subscribe": {"allow": permissions.subscribe},
    })
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn say(line: &str) {
    println!("{line}");
}
