//! Runs the context `member` as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main(member::context(), &[recovery::SUBCOMMAND])
}
