//! The context `message` as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main(message::context(), &[recovery::SUBCOMMAND])
}
