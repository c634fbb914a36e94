//! Password hashing with Argon2id.
//!
//! A hash needs 19 MiB and about 40 ms. It runs on the blocking thread pool, and at most one per processor runs at a
//! time, so a burst of sign-ins queues up instead of exhausting memory and processors.

use std::{sync::Arc, thread::available_parallelism};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use chassis::error::status::internal;
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tonic::Status;

use crate::domain::values::{PasswordCheck, PasswordHash};

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let permits = available_parallelism().map_or(1, usize::from);
        Self {
            permits: Arc::new(Semaphore::new(permits)),
        }
    }

    /// Hashes a password. Takes as long as [`Self::check`].
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
    ) -> Result<PasswordCheck, Status> {
        self.work(move || {
            let hash = phc::PasswordHash::new(&against.0)?;
            let verified =
                Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash);
            match verified {
                Ok(()) => Ok(PasswordCheck {
                    against,
                    matches: true,
                }),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(PasswordCheck {
                    against,
                    matches: false,
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
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|error| internal(&error))?;
        let done = spawn_blocking(move || {
            let done = work();
            drop(permit);
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
    async fn only_the_hashed_password_matches_its_hash() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.0
        );
        for (password, matches) in [("correct horse", true), ("correct horsf", false)] {
            let check = passwords
                .check(password.into(), hash.clone())
                .await
                .unwrap();
            assert_eq!(
                check,
                PasswordCheck {
                    against: hash.clone(),
                    matches
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
    async fn an_invalid_hash_is_an_internal_error_without_details() {
        let hash = PasswordHash("canary".into());
        let refused = Passwords::new().check("correct horse".into(), hash).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.message(), "internal error");
    }
}
