//! Runs the context `view` as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::main(view::context(), &[recovery::SUBCOMMAND])
}
