//! `berth`: the whole platform in one process.

fn main() -> std::process::ExitCode {
    all::main()
}
