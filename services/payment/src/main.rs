//! The context `payment` as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main(payment::context(), &[recovery::SUBCOMMAND])
}
