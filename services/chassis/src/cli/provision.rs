//! `provision`: creates or updates the streams and consumers of contexts at NATS, and ends. A process creates missing ones
//! itself; this is for changed settings, and for operators who want to control their creation.

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
    run,
};

/// Its flags.
#[derive(Args, Clone, Debug)]
struct Provision {
    #[command(flatten)]
    nats: NatsSettings,
    /// Only print the permissions that the NATS user of each context needs, in the format of the NATS configuration
    #[arg(long, env = "BERTH_NATS_SHOW_PERMISSIONS")]
    show_permissions: bool,
}

fn command() -> Command {
    let about = "Creates or updates the streams and consumers at NATS, and ends";
    Provision::augment_args(Command::new(SUBCOMMAND.name)).about(about)
}

fn run(process: &str, contexts: &[Context], matches: &ArgMatches) -> ExitCode {
    let flags = match Provision::from_arg_matches(matches) {
        Ok(flags) => flags,
        Err(error) => return usage::refuse(&error),
    };
    if flags.show_permissions {
        let permissions = contexts.iter().map(|context| {
            let permissions =
                JetStream::permissions(&flags.nats, context.name, &context.consumers());
            (context.name.to_owned(), configuration(&permissions))
        });
        let all: Map<String, Value> = permissions.collect();
        print(&format!("{:#}", Value::Object(all)));
        return ExitCode::SUCCESS;
    }
    if flags.nats.nats_url.is_none() {
        usage::fail(&"--nats-url is missing");
        return ExitCode::from(usage::USAGE);
    }
    usage::block_on(provision(process, contexts, &flags.nats))
}

async fn provision(process: &str, contexts: &[Context], settings: &NatsSettings) -> ExitCode {
    let bus = match JetStream::connect(settings, process, [].into()).await {
        Ok(bus) => bus,
        Err(error) => {
            usage::fail(&error);
            return ExitCode::from(usage::USAGE);
        }
    };
    if let Err(error) = bus.await_connection().await {
        return usage::fail(&error);
    }
    // All streams first: a context has consumers on the streams of others.
    for consumers_too in [false, true] {
        for context in contexts {
            let consumers = if consumers_too {
                context.consumers()
            } else {
                Vec::new()
            };
            match bus.provision(context.name, &consumers).await {
                Ok(done) if consumers_too => {
                    print(&format!("{}: {}", context.name, done.join(", ")));
                }
                Ok(_) => {}
                Err(error) => return usage::fail(&format!("{}: {error}", context.name)),
            }
        }
    }
    ExitCode::SUCCESS
}

/// As written in the configuration of NATS.
fn configuration(permissions: &Permissions) -> Value {
    json!({
        "publish": {"allow": permissions.publish},
        "subscribe": {"allow": permissions.subscribe},
    })
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(line: &str) {
    println!("{line}");
}
