//! Can a client in another language be generated from the contracts, and book?

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

/// The interpreter with grpcio-tools that `cargo xtask test` installs. Without it CI fails, and a developer is told.
fn python() -> Option<OsString> {
    let python = std::env::var_os("BERTH_PYTHON");
    if python.is_none() {
        let said =
            "NO client in Python was tried: BERTH_PYTHON is not set. `cargo xtask test` sets it.";
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{said}"
        );
        // Not captured as what a test prints is.
        let loud = format!("\n!!! {said} !!!\n");
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
    }
    python
}

/// Every contract, the vendored ones too.
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

/// Runs it to its end: what it said.
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
