//! The binary at work.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

/// Longer than anything here should take.
pub(crate) const MOMENT: Duration = Duration::from_mins(1);

/// A platform in a process of its own; killed when dropped.
pub(crate) struct Berth {
    child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) data_dir: String,
    log: mpsc::Receiver<String>,
}

/// The binary with flags, without the environment of whoever tests.
pub(crate) fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command.env_clear().args(flags);
    command
}

/// Runs the binary to its end: its exit code and what it said on stderr.
pub(crate) fn run(flags: &[&str]) -> (Option<i32>, String) {
    let output = command(flags).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

impl Berth {
    /// Starts on ports that the system chooses, and waits until it says that it is ready.
    pub(crate) fn start(dir: &Path, flags: &[&str]) -> Self {
        let mut command = command(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(flags).current_dir(dir);
        Self::of(command)
    }

    /// Waits until the process says that it is ready.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        let mut banner = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("Ctrl-C") {
            if banner.read_line(&mut said).unwrap() == 0 {
                let log: Vec<String> = log.iter().collect();
                panic!("not ready: {said}{}", log.join("\n"));
            }
        }
        let after = |word: &str| {
            let line = said.lines().find(|line| line.trim().starts_with(word));
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

    /// Whether it has not ended yet.
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
        // It may be over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (told, lines) = mpsc::channel();
    let _reads: JoinHandle<()> = std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody may listen any more; the pipe must be emptied all the same.
            let _ = told.send(line);
        }
    });
    lines
}
