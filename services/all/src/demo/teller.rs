//! Tells the story while it happens: what is asked, what is answered, and whether that is as it should be.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use chassis::{Clock, Timestamp, error::status::reason_of};
use tonic::{Response, Status};

use super::shown::Shown;

/// How often is looked at what comes about by itself, and how many times.
const EVERY: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;

/// Tells the story.
#[derive(Debug)]
pub(crate) struct Teller {
    began: Timestamp,
    steps: u32,
}

/// A step is not as it should be. It has been told.
#[derive(Debug)]
pub(crate) struct Wrong(u32);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} is not as it should be", self.0)
    }
}

impl Teller {
    /// Begins to tell of a platform.
    pub(crate) fn begins(url: &str) -> Self {
        say(&format!("Berth at {url}"));
        Self {
            began: Clock::System.now(),
            steps: 0,
        }
    }

    /// A new chapter.
    #[expect(clippy::unused_self, reason = "it is the teller who tells")]
    pub(crate) fn chapter(&self, title: &str) {
        say(&format!("\n{title}\n"));
    }

    /// Something worth knowing that is no step.
    #[expect(clippy::unused_self, reason = "it is the teller who tells")]
    pub(crate) fn notes(&self, note: &str) {
        say(&format!("     ({note})"));
    }

    /// Something is asked, and the answer must read as expected.
    pub(crate) async fn asks<T: Shown>(
        &mut self,
        what: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
        expected: &str,
    ) -> Result<T, Wrong> {
        self.step(what);
        match call.await.map(Response::into_inner) {
            Ok(answer) if answer.shown() == expected => {
                right(expected);
                Ok(answer)
            }
            Ok(answer) => Err(self.wrong(&answer.shown(), expected)),
            Err(status) => Err(self.wrong(&refusal(&status), expected)),
        }
    }

    /// Something is asked and must be refused for a reason.
    pub(crate) async fn is_refused<T: fmt::Debug>(
        &mut self,
        what: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
        reason: &str,
    ) -> Result<(), Wrong> {
        self.step(what);
        match call.await.map(Response::into_inner) {
            Err(status) if reason_of(&status).as_deref() == Some(reason) => {
                right(&refusal(&status));
                Ok(())
            }
            Err(status) => Err(self.wrong(&refusal(&status), reason)),
            Ok(answer) => Err(self.wrong(&format!("{answer:?}"), reason)),
        }
    }

    /// Something comes about by itself, soon: it is looked at until it reads as expected.
    pub(crate) async fn sees<T: Shown>(
        &mut self,
        what: &str,
        look: impl AsyncFn() -> Result<Response<T>, Status>,
        expected: &str,
    ) -> Result<T, Wrong> {
        self.step(what);
        let mut last = String::new();
        for _ in 0..LOOKS {
            match look().await.map(Response::into_inner) {
                Ok(answer) if answer.shown() == expected => {
                    right(expected);
                    return Ok(answer);
                }
                Ok(answer) => last = answer.shown(),
                Err(status) => last = refusal(&status),
            }
            tokio::time::sleep(EVERY).await;
        }
        Err(self.wrong(&last, expected))
    }

    /// The story is over, and everything was as it should be.
    pub(crate) fn ends(self) -> ExitCode {
        let took = Clock::System.now().duration_since(self.began);
        say(&format!(
            "\nAll {} steps are as they should be. It took {:.1} s.",
            self.steps,
            took.as_secs_f64()
        ));
        ExitCode::SUCCESS
    }

    fn step(&mut self, what: &str) {
        self.steps += 1;
        say(&format!("{:>3}. {what}", self.steps));
    }

    /// A step is not as it should be.
    pub(crate) fn wrong(&self, answer: &str, expected: &str) -> Wrong {
        say(&format!("   ✗ {answer}\n     expected: {expected}\n"));
        Wrong(self.steps)
    }
}

fn right(answer: &str) {
    say(&format!("   ✓ {answer}"));
}

fn refusal(status: &Status) -> String {
    let reason = reason_of(status).unwrap_or_else(|| format!("{:?}", status.code()));
    format!("refused: {reason}, {}", status.message())
}

fn say(line: &str) {
    // The story goes on if nobody watches any more.
    let _ = writeln!(io::stdout(), "{line}");
}
