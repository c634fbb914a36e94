//! Password hashing with Argon2id.
//!
//! A hash needs 19 MiB and about 40 ms of a processor. It runs on the blocking thread pool; one processor is left to
//! other requests, if there are several. A request takes a place in a short queue before it does anything else, and is
//! refused at once if the queue is full. So a burst of sign-ins uses up neither memory and processors nor the port's
//! concurrency permits, which the requests in the queue hold. No source has more than half of the queue.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
    time::Duration,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use chassis::error::status::{internal, unavailable};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use tonic::Status;

use super::strength::is_guessable;
use crate::domain::{
    source::Source,
    values::{PasswordCheck, PasswordHash},
};

/// Maximum number of concurrent hashes, however many processors there are.
const MAX_CONCURRENT: usize = 16;
/// Number of requests that may wait for a processor.
const WAITING: usize = 20;
/// Longest time to wait for a processor.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The queue for password hashes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Passwords(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    processors: Arc<Semaphore>,
    capacity: usize,
    /// Number of requests in the queue, by source.
    places: Mutex<BTreeMap<Source, usize>>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let concurrent = processors.saturating_sub(1).clamp(1, MAX_CONCURRENT);
        Self(Arc::new(Queue {
            processors: Arc::new(Semaphore::new(concurrent)),
            capacity: concurrent + WAITING,
            places: Mutex::default(),
        }))
    }

    /// Takes a place in the queue for one request. Refuses without waiting if there is none.
    pub(crate) fn enter(&self, source: Source) -> Result<Place, Status> {
        let queue = &self.0;
        let mut places = queue.places();
        let all: usize = places.values().sum();
        let own = places.get(&source).copied().unwrap_or_default();
        if all >= queue.capacity || own >= queue.capacity / 2 {
            return Err(busy());
        }
        places.insert(source, own + 1);
        Ok(Place {
            queue: queue.clone(),
            source,
        })
    }
}

impl Queue {
    fn places(&self) -> MutexGuard<'_, BTreeMap<Source, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn busy() -> Status {
    metrics::counter!("berth_passwords_shed_total").increment(1);
    unavailable(
        "SIGN_IN_BUSY",
        "too many passwords are being checked at the moment; try again",
    )
}

/// A place in the queue. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Arc<Queue>,
    source: Source,
}

impl Place {
    /// Hashes a password. Takes as long as [`Self::check`].
    pub(crate) async fn hash(&self, password: SecretString) -> Result<PasswordHash, Status> {
        self.work(move || hash(&password)).await
    }

    /// Hashes a new password. None if it is too easy to guess for somebody who knows some words about its member.
    pub(crate) async fn hash_new(
        &self,
        password: SecretString,
        about: Vec<String>,
    ) -> Result<Option<PasswordHash>, Status> {
        self.work(move || {
            if is_guessable(password.expose_secret(), &about) {
                return Ok(None);
            }
            hash(&password).map(Some)
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
        let processor = self.queue.processors.clone().acquire_owned();
        let processor = timeout(LONGEST_WAIT, processor).await;
        let processor = processor.map_err(|_| busy())?;
        let processor = processor.map_err(|error| internal(&error))?;
        let done = spawn_blocking(move || {
            let done = work();
            drop(processor);
            done
        });
        let done = done.await.map_err(|error| internal(&error))?;
        done.map_err(|error| internal(&error))
    }
}

fn hash(password: &SecretString) -> Result<PasswordHash, argon2::password_hash::Error> {
    // Argon2id, 19 MiB, two passes: the defaults, written into every hash.
    let hash = Argon2::default().hash_password(password.expose_secret().as_bytes())?;
    Ok(PasswordHash(hash.to_string()))
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.queue.places();
        let others = places.remove(&self.source).unwrap_or_default();
        if others > 1 {
            places.insert(self.source, others - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::error::status::reason_of;
    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;

    fn source(n: u8) -> Source {
        Source::named(&format!("192.0.2.{n}"))
    }

    fn place() -> Place {
        Passwords::new().enter(Source::default()).unwrap()
    }

    /// Takes places of a source until one is refused.
    fn fill(passwords: &Passwords, source: Source) -> (Vec<Place>, Status) {
        let mut places = Vec::new();
        loop {
            match passwords.enter(source) {
                Ok(place) => places.push(place),
                Err(refused) => return (places, refused),
            }
        }
    }

    #[tokio::test]
    async fn only_the_hashed_password_matches_its_hash() {
        let place = place();
        let hash = place.hash("correct horse".into()).await.unwrap();
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.0
        );
        for (password, matches) in [("correct horse", true), ("correct horsf", false)] {
            let check = place.check(password.into(), hash.clone()).await.unwrap();
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
        let place = place();
        let one = place.hash("correct horse".into()).await.unwrap();
        let other = place.hash("correct horse".into()).await.unwrap();
        assert_ne!(one, other);
    }

    #[tokio::test]
    async fn an_invalid_hash_is_an_internal_error_without_details() {
        let hash = PasswordHash("canary".into());
        let refused = place().check("correct horse".into(), hash).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.message(), "internal error");
    }

    #[test]
    fn a_request_beyond_the_queue_is_refused_with_a_time_to_retry() {
        let passwords = Passwords::new();
        let mut queued = Vec::new();
        for n in 0..3 {
            let (places, refused) = fill(&passwords, source(n));
            queued.extend(places);
            assert_eq!(refused.code(), Code::Unavailable);
            assert_eq!(reason_of(&refused).as_deref(), Some("SIGN_IN_BUSY"));
            assert!(refused.get_details_retry_info().is_some());
        }
        assert!(queued.len() <= MAX_CONCURRENT + WAITING, "{}", queued.len());
        queued.pop();
        passwords.enter(source(9)).unwrap();
    }

    #[test]
    fn one_source_leaves_half_of_the_queue_to_others() {
        let passwords = Passwords::new();
        let (first, _) = fill(&passwords, source(1));
        let (second, _) = fill(&passwords, source(2));
        assert_eq!(first.len(), second.len());
        drop((first, second));
        assert!(passwords.0.places().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_gives_up_frees_its_place() {
        let passwords = Passwords::new();
        let place = passwords.enter(source(1)).unwrap();
        let hash = async move { place.hash("correct horse".into()).await };
        let mut hash = Box::pin(hash);
        assert!(futures::poll!(&mut hash).is_pending());
        drop(hash);
        assert!(passwords.0.places().is_empty());
    }
}
