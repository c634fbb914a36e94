//! The binary `berth` in a process of its own.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

/// The timeout of all waits in these tests.
pub(crate) const MOMENT: Duration = Duration::from_mins(1);

/// A running `berth`; killed when dropped.
pub(crate) struct Berth {
    child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) data_dir: String,
    log: mpsc::Receiver<String>,
}

/// The binary with flags and an empty environment.
pub(crate) fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command.env_clear().args(flags);
    command
}

/// Runs the binary to its end, and returns its exit code and stderr.
pub(crate) fn run(flags: &[&str]) -> (Option<i32>, String) {
    let output = command(flags).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

impl Berth {
    /// Starts it on free ports, and waits until it is ready.
    pub(crate) fn start(dir: &Path, flags: &[&str]) -> Self {
        let mut command = command(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(flags).current_dir(dir);
        Self::of(command)
    }

    /// Starts a command, and waits until it prints that it is ready.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        let mut banner = BufReader::new(child.stdout.take().unwrap());
        let mut banner_text = String::new();
        while !banner_text.contains("Ctrl-C") {
            if banner.read_line(&mut banner_text).unwrap() == 0 {
                let log: Vec<String> = log.iter().collect();
                panic!("not ready: {banner_text}{}", log.join("\n"));
            }
        }
        let after = |word: &str| {
            let line = banner_text
                .lines()
                .find(|line| line.trim().starts_with(word));
            line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
        };
        Self {
            public: after("gRPC").parse().unwrap(),
            admin: after("admin").parse().unwrap(),
            data_dir: after("data").trim_end_matches(',').to_owned(),
            child,
            log,
        }
    }

    /// Waits for a line of the log.
    pub(crate) fn logs(&self, has: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.log.recv_timeout(MOMENT).unwrap();
            if has(&line) {
                return line;
            }
        }
    }

    /// Sends a signal, for example `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok());
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let _reads: JoinHandle<()> = std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // The receiver may be gone; the pipe must be read all the same, so that the process does not block.
            let _ = sender.send(line);
        }
    });
    lines
}
