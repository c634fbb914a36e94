//! The context `reservation` as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main(reservation::context(), &[recovery::SUBCOMMAND])
}
