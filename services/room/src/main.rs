//! Runs the context `room` as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main(room::context(), &[recovery::SUBCOMMAND])
}
