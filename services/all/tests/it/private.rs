//! What the platform keeps is for its own user only.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use berth::member::v1::{JoinRequest, SignInRequest, member_service_client::MemberServiceClient};
use tonic::transport::Endpoint;

use crate::berth::{Berth, command, run};

const FLAGS: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

/// A directory and everything in it, with modes.
fn modes(path: &Path) -> Vec<(PathBuf, u32)> {
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut all = vec![(path.to_owned(), mode)];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            all.extend(modes(&entry.unwrap().path()));
        }
    }
    all
}

/// The binary under a umask that takes nothing away.
fn generous(dir: &Path) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "umask 000 && exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_berth"))
        .env_clear()
        .current_dir(dir);
    shell
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_read_the_data_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let mut start = generous(dir.path());
    start.args(FLAGS);
    let berth = Berth::of(start);
    let channel = Endpoint::from_shared(format!("http://{}", berth.public)).unwrap();
    let mut members = MemberServiceClient::new(channel.connect().await.unwrap());
    let join = JoinRequest {
        member_id: "018f3c1a-7e2b-7c4d-9a5e-3b2f1d0c9e8a".into(),
        email: "ada@example.org".into(),
        display_name: "Ada".into(),
        password: "correct horse".into(),
        roles: vec![],
    };
    members.join(join).await.unwrap();
    let sign_in = SignInRequest {
        email: "ada@example.org".into(),
        password: "correct horse".into(),
    };
    members.sign_in(sign_in).await.unwrap();

    let found = modes(&dir.path().join("data"));
    let names: Vec<_> = found
        .iter()
        .filter_map(|(path, _)| path.file_name()?.to_str())
        .collect();
    for name in ["member.db", "member.db-wal", "member.db-shm", "service.key"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for (path, mode) in found {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} has {mode:o}", path.display());
    }
}

/// An empty directory has nothing that others may have read.
#[test]
fn an_existing_data_directory_becomes_private_while_it_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o777)).unwrap();
    let _berth = Berth::start(dir.path(), &[]);
    assert_eq!(modes(&data)[0].1, 0o700);
}

#[test]
fn a_start_refuses_data_that_others_may_use_and_names_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let start = || {
        let mut berth = Berth::of({
            let mut command = command(&FLAGS);
            command.current_dir(dir.path());
            command
        });
        // A process that is killed leaves the files beside the database.
        berth.signal("KILL");
        berth.ends();
    };
    start();
    for (name, mode) in [
        ("", 0o750),
        ("", 0o701),
        ("member.db", 0o604),
        ("member.db-wal", 0o640),
        ("member.db-shm", 0o620),
    ] {
        let path = data.join(name);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let flags = [&FLAGS[..], &["--data-dir", data.to_str().unwrap()]].concat();
        let (code, stderr) = run(&flags);
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        let remedy = stderr.split(": ").last().unwrap().trim();
        assert!(remedy.starts_with("chmod go-rwx "), "{stderr}");
        let done = Command::new("/bin/sh").args(["-c", remedy]).status();
        assert!(done.unwrap().success(), "{remedy}");
        start();
    }
}

/// Every service gets a key of its own, and nobody else can read it.
#[test]
fn service_keys_are_made_once_for_every_service() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("service-keys");
    let provision = || {
        let made = generous(dir.path()).arg("service-keys").output().unwrap();
        assert!(made.status.success());
        let mut files: Vec<_> = modes(&keys).split_off(1);
        files.sort();
        assert!(files.iter().all(|(_, mode)| *mode == 0o600), "{files:?}");
        let content = files.iter().map(|(path, _)| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        });
        content.collect::<Vec<_>>()
    };
    let first = provision();
    assert_eq!(provision(), first);
    let is_private = |(name, _): &(String, String)| name != "service-keys";
    let (private, list): (Vec<_>, Vec<_>) = first.into_iter().partition(is_private);
    let (names, texts): (Vec<_>, Vec<_>) = private.into_iter().unzip();
    let services = [
        "doctor",
        "member",
        "message",
        "payment",
        "reservation",
        "room",
        "view",
    ];
    assert_eq!(names, services.map(|service| format!("{service}.key")));
    let (_, list) = &list[0];
    let mut listed: Vec<_> = list
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, services);
    assert!(texts.iter().all(|key| !list.contains(key.trim())));

    // A lost key is made again; the others stay.
    fs::remove_file(keys.join("room.key")).unwrap();
    let again = provision();
    let same = |name: &str| {
        let position = names.iter().position(|known| known == name).unwrap();
        let new = again.iter().find(|(made, _)| made == name).unwrap();
        new.1 == texts[position]
    };
    assert!(same("view.key") && !same("room.key"));
}

#[test]
fn a_process_whose_key_is_not_listed_does_not_start() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &other] {
        let made = command(&["service-keys"]).current_dir(dir.path()).output();
        assert!(made.unwrap().status.success());
    }
    let file = |dir: &tempfile::TempDir, name: &str| {
        let path = dir.path().join("service-keys").join(name);
        path.display().to_string()
    };
    let (key, keys) = (file(&one, "room.key"), file(&other, "service-keys"));
    let listed = ["--service-keys", &keys, "--service-key-file", &key];
    let flags = [&FLAGS[..], &["--ephemeral"], &listed].concat();
    let (code, stderr) = run(&flags);
    assert_eq!((code, stderr.lines().count()), (Some(64), 1), "{stderr}");
    let (code, stderr) = run(&["--service-key-file", &key]);
    assert_eq!((code, stderr.lines().count()), (Some(64), 1), "{stderr}");
}
