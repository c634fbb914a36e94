//! Flags: their values, and errors on one line.

use std::time::Duration;

use chassis::{
    base::flag_values::duration,
    cli::usage::{one_line, parse},
    client::addresses::Addresses,
    runtime::config::Config,
    telemetry::LogFilter,
};
use tracing_subscriber::layer::SubscriberExt;

/// Every flag of a process.
#[derive(clap::Parser)]
#[command(name = "flags", no_binary_name = true)]
struct Flags {
    #[command(flatten)]
    _config: Config,
}

#[test]
fn an_error_of_the_command_line_is_one_line() {
    let command = <Flags as clap::CommandFactory>::command();
    let error = command
        .try_get_matches_from(["--max-in-flight", "0"])
        .unwrap_err();
    let line = one_line(&error);
    assert!(line.contains("--max-in-flight"), "{line}");
    assert!(line.contains("from 1"), "{line}");
    assert!(!line.contains('\n'), "{line}");
}

#[test]
fn an_error_shows_the_value_of_a_flag_unless_it_is_a_secret() {
    let refuse = |line: &[&str]| {
        let secret = clap::arg!(--secret <URL> "A secret").hide_env_values(true);
        let parser = |text: &str| Err::<u8, _>(format!("{text} is not a number"));
        let inner = clap::Command::new("inner").arg(secret.clone().value_parser(parser));
        let shown = clap::arg!(--shown <NUMBER> "Not a secret").value_parser(parser);
        let command = clap::Command::new("outer")
            .arg(secret.value_parser(parser))
            .arg(shown);
        let error = parse(command.subcommand(inner), line.to_owned()).unwrap_err();
        one_line(&error)
    };
    for line in [
        ["outer", "--secret", "canary"].as_slice(),
        &["outer", "--secret=canary"],
        &["outer", "inner", "--secret", "canary"],
        &["outer", "canary"],
        &["outer", "inner", "canary"],
        &["outer", "inner", "--", "canary"],
        &["outer", "--secrets=canary"],
    ] {
        let error = refuse(line);
        assert!(
            error.starts_with("error: ") && !error.contains("canary"),
            "{error}"
        );
    }
    assert!(refuse(&["outer", "--secret", "x"]).contains("'--secret <URL>'"));
    assert!(refuse(&["outer", "--shown", "canary"]).contains("canary"));
    assert!(refuse(&["outer", "--unknown"]).contains("--unknown"));
}

#[test]
fn durations_are_parsed() {
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
    assert!(duration("-1s").is_err());
    assert!(duration("soon").is_err());
}

#[test]
fn addresses_are_read() {
    let read: Addresses = "room=http://a:1, payment=http://b:2,".parse().unwrap();
    assert_eq!(read.0.len(), 2);
    assert_eq!(read.0["payment"], "http://b:2");
    assert!("room".parse::<Addresses>().is_err());
    assert!("room=somewhere".parse::<Addresses>().is_err());
}

#[test]
fn a_filter_is_read_and_changed() {
    let (layer, filter) = LogFilter::layer("info").unwrap();
    assert_eq!(filter.get().unwrap(), "info");
    filter.set("warn,room=debug", || {}).unwrap();
    assert!(filter.get().unwrap().contains("room=debug"));
    // The audit trail is always logged.
    filter.set("off", || {}).unwrap();
    assert_eq!(filter.get().unwrap(), "off");
    let logged = || tracing::event_enabled!(target: "audit", tracing::Level::INFO);
    assert!(tracing::subscriber::with_default(
        tracing_subscriber::registry().with(layer),
        logged
    ));
    let (layer, filter) = LogFilter::layer("info").unwrap();
    for wrong in ["", "loud", "room=loud", "=,="] {
        assert!(filter.set(wrong, || {}).is_err(), "{wrong:?}");
    }
    drop(layer);
    assert!(filter.get().is_err());
}
