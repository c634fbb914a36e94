//! Prints the steps of the demo: each request, its response, and whether the response is the expected one.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use chassis::{Clock, Timestamp, error::status::reason_of};
use tonic::{Response, Status};

use super::summary::Summary;

/// The polling interval of [`Narrator::eventually`], and the largest number of attempts.
const INTERVAL: Duration = Duration::from_millis(100);
const ATTEMPTS: u32 = 100;

/// Prints the steps and counts them.
#[derive(Debug)]
pub(crate) struct Narrator {
    began: Timestamp,
    steps: u32,
}

/// A step whose response was not the expected one. It has been printed.
#[derive(Debug)]
pub(crate) struct Mismatch(u32);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} did not return the expected result", self.0)
    }
}

impl Narrator {
    /// Prints the first line.
    pub(crate) fn new(url: &str) -> Self {
        print(&format!("Berth at {url}"));
        Self {
            began: Clock::System.now(),
            steps: 0,
        }
    }

    /// Prints the title of a chapter.
    #[expect(clippy::unused_self, reason = "all output goes through the narrator")]
    pub(crate) fn chapter(&self, title: &str) {
        print(&format!("\n{title}\n"));
    }

    /// Prints a note.
    #[expect(clippy::unused_self, reason = "all output goes through the narrator")]
    pub(crate) fn note(&self, note: &str) {
        print(&format!("     ({note})"));
    }

    /// Makes a call. The summary of the response must be the expected one.
    pub(crate) async fn expect<T: Summary>(
        &mut self,
        what: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
        expected: &str,
    ) -> Result<T, Mismatch> {
        self.step(what);
        match call.await.map(Response::into_inner) {
            Ok(answer) if answer.summary() == expected => {
                success(expected);
                Ok(answer)
            }
            Ok(answer) => Err(self.mismatch(&answer.summary(), expected)),
            Err(status) => Err(self.mismatch(&describe_refusal(&status), expected)),
        }
    }

    /// Makes a call that must be refused for a reason.
    pub(crate) async fn expect_refusal<T: fmt::Debug>(
        &mut self,
        what: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
        reason: &str,
    ) -> Result<(), Mismatch> {
        self.step(what);
        match call.await.map(Response::into_inner) {
            Err(status) if reason_of(&status).as_deref() == Some(reason) => {
                success(&describe_refusal(&status));
                Ok(())
            }
            Err(status) => Err(self.mismatch(&describe_refusal(&status), reason)),
            Ok(answer) => Err(self.mismatch(&format!("{answer:?}"), reason)),
        }
    }

    /// Repeats a call until the summary of the response is the expected one.
    pub(crate) async fn eventually<T: Summary>(
        &mut self,
        what: &str,
        look: impl AsyncFn() -> Result<Response<T>, Status>,
        expected: &str,
    ) -> Result<T, Mismatch> {
        self.step(what);
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match look().await.map(Response::into_inner) {
                Ok(answer) if answer.summary() == expected => {
                    success(expected);
                    return Ok(answer);
                }
                Ok(answer) => last = answer.summary(),
                Err(status) => last = describe_refusal(&status),
            }
            tokio::time::sleep(INTERVAL).await;
        }
        Err(self.mismatch(&last, expected))
    }

    /// Prints the last line: all steps were successful.
    pub(crate) fn finish(self) -> ExitCode {
        let took = Clock::System.now().duration_since(self.began);
        print(&format!(
            "\nAll {} steps returned the expected results in {:.1} s.",
            self.steps,
            took.as_secs_f64()
        ));
        ExitCode::SUCCESS
    }

    fn step(&mut self, what: &str) {
        self.steps += 1;
        print(&format!("{:>3}. {what}", self.steps));
    }

    /// Prints the response that was not the expected one.
    pub(crate) fn mismatch(&self, answer: &str, expected: &str) -> Mismatch {
        print(&format!("   ✗ {answer}\n     expected: {expected}\n"));
        Mismatch(self.steps)
    }
}

fn success(answer: &str) {
    print(&format!("   ✓ {answer}"));
}

fn describe_refusal(status: &Status) -> String {
    let reason = reason_of(status).unwrap_or_else(|| format!("{:?}", status.code()));
    format!("refused: {reason}, {}", status.message())
}

fn print(line: &str) {
    // A closed pipe does not stop the demo.
    let _ = writeln!(io::stdout(), "{line}");
}
