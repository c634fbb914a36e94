//! `berth doctor`, as an operator calls it.

use std::{path::Path, process::Output};

use crate::berth::{Berth, command, run};

fn doctor(dir: &Path, flags: &[&str]) -> Output {
    let mut command = command(&["doctor"]);
    command.args(flags).current_dir(dir).output().unwrap()
}

#[test]
fn a_local_platform_is_examined_with_its_own_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut berth = Berth::start(dir.path(), &[]);
    let admin = format!("berth=http://{}", berth.admin);
    let well = doctor(dir.path(), &["--admin", &admin]);
    let said = String::from_utf8(well.stdout).unwrap();
    assert_eq!(well.status.code(), Some(0), "{said}");
    assert_eq!(said, "Berth doctor: 1 process inspected.\nNo findings.\n");
    assert!(well.stderr.is_empty());

    let json = doctor(dir.path(), &["--json", "--admin", &admin]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["healthy"], true);
    assert_eq!(json["processes"][0]["contexts"][0], "member");

    // In another directory there is no service key.
    let other = tempfile::tempdir().unwrap();
    let refused = doctor(other.path(), &["--admin", &admin]);
    assert_eq!(refused.status.code(), Some(17));
    let data = dir.path().join("data").display().to_string();
    let found = doctor(other.path(), &["--admin", &admin, "--data-dir", &data]);
    assert_eq!(found.status.code(), Some(0));

    berth.signal("TERM");
    assert_eq!(berth.ends().code(), Some(0));
    let gone = doctor(dir.path(), &["--admin", &admin]);
    assert_eq!(gone.status.code(), Some(16));
    let said = String::from_utf8(gone.stdout).unwrap();
    assert!(said.contains("CRITICAL PROCESS_UNREACHABLE"), "{said}");
}

#[test]
fn invalid_flags_are_reported_on_one_line() {
    let cases: [&[&str]; 4] = [
        &["doctor", "--admin", "somewhere"],
        &["doctor", "--admin", "room=https://127.0.0.1:1"],
        &["doctor", "--timeout", "soon"],
        &["doctor", "--service-key-file", "/nowhere"],
    ];
    for flags in cases {
        let (code, said) = run(flags);
        assert_eq!(code, Some(64), "{flags:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{flags:?}: {said}");
    }
}
