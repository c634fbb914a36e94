//! `up` and `down`: all or nothing.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use servers::until;

use crate::{TURN, demo};

/// Longer than anything here should take.
const MOMENT: Duration = Duration::from_secs(20);

fn mesh(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesh"));
    command.arg("--state").arg(state);
    command
}

/// A running platform, as its banner shows it.
struct Up {
    owner: Child,
    url: String,
    pids: Vec<u32>,
    logs: PathBuf,
}

impl Up {
    fn start(state: &Path) -> Self {
        let mut command = mesh(state);
        command.arg("up");
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        let mut owner = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut pids, mut url, mut logs) = (Vec::new(), String::new(), PathBuf::new());
        let lines = BufReader::new(owner.stdout.as_mut().unwrap()).lines();
        for line in lines.map(Result::unwrap) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["gRPC", public, ..] => url = format!("http://{public}"),
                ["logs", dir] => logs = dir.into(),
                [.., "process", pid] => pids.push(pid.parse().unwrap()),
                ["Ctrl-C", ..] => break,
                _ => {}
            }
        }
        Self {
            owner,
            url,
            pids,
            logs,
        }
    }

    fn is_there(&self) -> bool {
        self.pids.len() == mesh::contexts().len()
            && self.pids.iter().all(|pid| runs(*pid))
            && self.logs.join("room-0.log").exists()
    }

    fn is_gone(&self) -> bool {
        !self.pids.iter().any(|pid| runs(*pid)) && !self.logs.parent().unwrap().exists()
    }
}

/// Whether a process of this machine runs. One that has ended and is only remembered does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    !matches!(after.split_whitespace().next(), None | Some("Z" | "X"))
}

#[test]
fn what_is_up_comes_down_and_leaves_nothing_behind() {
    let _turn = TURN.blocking_lock();
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("up");
    let mut up = Up::start(&state);
    assert!(up.is_there());
    demo(&up.url);
    // There can be one only.
    let second = mesh(&state).arg("up").output().unwrap();
    assert!(!second.status.success());
    let printed = String::from_utf8(second.stderr).unwrap();
    assert!(printed.contains("up already"), "{printed}");

    assert!(mesh(&state).arg("down").status().unwrap().success());
    assert!(up.is_gone());
    assert!(up.owner.wait().unwrap().success());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // What is down stays down.
    assert!(mesh(&state).arg("down").status().unwrap().success());
}

#[test]
fn what_was_killed_leaves_nothing_behind() {
    let _turn = TURN.blocking_lock();
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("up");
    let mut up = Up::start(&state);
    assert!(up.is_there());
    up.owner.kill().unwrap();
    up.owner.wait().unwrap();
    until("all is gone", MOMENT, || Ok(up.is_gone().then_some(()))).unwrap();
    assert!(mesh(&state).arg("down").status().unwrap().success());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
