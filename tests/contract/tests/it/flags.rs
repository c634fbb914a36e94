//! Do flags and variables keep the rules?
use chassis::cli::usage;
use clap::{Arg, Command};
use contract::{FLAGS, flags, operating};

/// The rule, a change of a flag, and what the rule must find.
type Fault = (&'static str, fn(Arg) -> Arg, &'static str);

const FAULTS: &[Fault] = &[
    (
        "optional",
        |arg| arg.required(true),
        "--boat: has no default",
    ),
    (
        "described",
        |arg| arg.help(None::<&str>),
        "--boat: has no doc",
    ),
    (
        "variables",
        |arg| arg.env("BOAT"),
        "--boat: has no variable",
    ),
    (
        "variables",
        |arg| arg.env(None::<&str>),
        "--boat: has no variable",
    ),
    ("unique", |arg| arg.env("BERTH_SHIP"), "--boat: shares"),
    (
        "secret",
        |arg| arg.id("boat_secret"),
        "--boat_secret: shows",
    ),
    ("secret", |arg| arg.id("boat_url"), "--boat_url: shows"),
];

fn boat() -> Arg {
    Arg::new("boat")
        .long("boat")
        .env("BERTH_BOAT")
        .help("Which boat")
}

fn boats(arg: Arg) -> Command {
    let ship = Arg::new("ship").long("ship").env("BERTH_SHIP");
    Command::new("x").arg(ship.help("Which ship")).arg(arg)
}

#[test]
fn the_flags_keep_every_rule() {
    let flags = flags::command(&all::contexts());
    assert!(flags.get_arguments().count() > 10);
    for (rule, check) in FLAGS {
        assert_eq!(check(&flags), [""; 0], "rule {rule}");
        assert_eq!(check(&boats(boat())), [""; 0], "rule {rule}");
    }
    flags.debug_assert();
}

#[test]
fn every_rule_finds_its_planted_faults() {
    for (rule, check) in FLAGS {
        let faults: Vec<_> = FAULTS.iter().filter(|fault| fault.0 == *rule).collect();
        assert!(!faults.is_empty(), "no fault for rule {rule}");
        for (_, plant, says) in faults {
            let found = check(&boats(plant(boat())));
            assert!(
                found.iter().any(|wrong| wrong.contains(says)),
                "rule {rule} finds {found:?}, not {says}"
            );
        }
    }
}

#[test]
fn no_error_shows_the_value_of_a_secret_flag() {
    const CANARY: &str = "ftp://user:canary@host:port/%zz\u{0}\u{7f}";
    let mut secrets = 0;
    for (name, command) in operating::commands(&all::contexts()) {
        // A subcommand is parsed as the last word of its path.
        let words = name.rsplit(' ').next().into_iter();
        let hidden = command
            .get_arguments()
            .filter(|arg| arg.is_hide_env_values_set());
        for flag in hidden.filter_map(Arg::get_long) {
            secrets += 1;
            let line = words.clone().map(ToOwned::to_owned);
            let line = line.chain([format!("--{flag}={CANARY}"), "--no-such-flag".to_owned()]);
            let error = usage::parse(command.clone(), line).unwrap_err();
            let shown = format!("{error} {error:?} {}", usage::one_line(&error));
            assert!(
                !shown.contains("canary"),
                "{name} --{flag}: {}",
                usage::one_line(&error)
            );
        }
    }
    assert!(secrets > 10, "only {secrets} flags are secret");
}
