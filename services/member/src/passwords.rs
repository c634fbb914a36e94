//! Passwords: Argon2id, away from the threads that serve, and only as many at a time as there are processors. Each needs
//! 19 MiB and some forty milliseconds, so a flood of sign-ins waits for its turn instead of eating the machine.

use std::{sync::Arc, thread::available_parallelism};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use chassis::error::status::internal;
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tonic::Status;

use crate::domain::values::{PasswordHash, Proof};

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let turns = available_parallelism().map_or(1, usize::from);
        Self {
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    /// Hashes a password. It costs as much as a check.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<PasswordHash, Status> {
        self.work(move || {
            // Argon2id, 19 MiB, two passes: the defaults, written into every hash.
            let hash = Argon2::default().hash_password(password.expose_secret().as_bytes())?;
            Ok(PasswordHash(hash.to_string()))
        })
        .await
    }

    /// Checks a password against a hash.
    pub(crate) async fn check(
        &self,
        password: SecretString,
        against: PasswordHash,
    ) -> Result<Proof, Status> {
        self.work(move || {
            let hash = phc::PasswordHash::new(&against.0)?;
            let checked =
                Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash);
            match checked {
                Ok(()) => Ok(Proof {
                    against,
                    good: true,
                }),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Proof {
                    against,
                    good: false,
                }),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, Status> {
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|error| internal(&error))?;
        let done = spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        let done = done.await.map_err(|error| internal(&error))?;
        done.map_err(|error| internal(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_proves_itself_and_no_other() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.0
        );
        for (password, good) in [("correct horse", true), ("correct horsf", false)] {
            let proof = passwords
                .check(password.into(), hash.clone())
                .await
                .unwrap();
            assert_eq!(
                proof,
                Proof {
                    against: hash.clone(),
                    good
                }
            );
        }
    }

    #[tokio::test]
    async fn equal_passwords_have_different_hashes() {
        let passwords = Passwords::new();
        let one = passwords.hash("correct horse".into()).await.unwrap();
        let other = passwords.hash("correct horse".into()).await.unwrap();
        assert_ne!(one, other);
    }

    #[tokio::test]
    async fn a_broken_hash_is_a_fault_of_ours_and_not_told() {
        let hash = PasswordHash("canary".into());
        let refused = Passwords::new().check("correct horse".into(), hash).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.message(), "internal error");
    }
}
