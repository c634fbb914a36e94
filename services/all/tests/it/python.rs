//! A client in Python, generated from the contracts, books a stay.

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use crate::berth::Berth;

#[test]
fn a_python_client_generated_from_the_contracts_books_a_stay() {
    let Some(python) = python() else { return };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contracts = manifest.ancestors().nth(2).unwrap().join("proto");
    let dir = tempfile::tempdir().unwrap();
    let stubs = dir.path().join("stubs");
    std::fs::create_dir(&stubs).unwrap();
    let mut generate = Command::new(&python);
    generate
        .args(["-m", "grpc_tools.protoc", "--proto_path"])
        .arg(&contracts);
    for out in ["--python_out", "--grpc_python_out"] {
        generate.arg(out).arg(&stubs);
    }
    succeeds(generate.args(protos(&contracts)));

    let berth = Berth::start(dir.path(), &["--ephemeral"]);
    let said = succeeds(
        Command::new(&python)
            .arg(manifest.join("tests/python/book.py"))
            .arg(berth.public.to_string())
            .env("PYTHONPATH", &stubs),
    );
    assert!(said.starts_with("booked "), "{said}");
}

/// The interpreter with grpcio-tools that `cargo xtask test` installs. Without it the test fails in CI, and prints a warning
/// elsewhere.
fn python() -> Option<OsString> {
    let python = std::env::var_os("BERTH_PYTHON");
    if python.is_none() {
        let message = "not run: the client in Python, because BERTH_PYTHON is not set. `cargo xtask test` sets it.";
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{message}"
        );
        // Written directly, because cargo captures what a test prints.
        let loud = format!("\n!!! {message} !!!\n");
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
    }
    python
}

/// All contracts, including the vendored ones.
fn protos(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(protos(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
    found
}

/// Runs a command that must succeed, and returns its output.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        said(&output.stderr)
    );
    said(&output.stdout)
}
