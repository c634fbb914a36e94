//! Failed attempts: what they limit, and for whom.

use std::net::{IpAddr, Ipv4Addr};

use chassis::base::time::SignedDuration;
use tonic::{Code, Status};

use crate::fixture::{Fixture, PASSWORD, ann, bob, delay, fixture, refusal};

const ANN: &str = "ann@example.org";
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));

/// The n-th of many sources.
fn source(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, n))
}

/// Ann has joined, and signed in at home.
async fn with_ann() -> Fixture {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    fixture.sign_in_from(HOME, ANN, PASSWORD).await.unwrap();
    fixture
}

async fn fail(fixture: &Fixture, source: IpAddr, email: &str, password: &str) -> Status {
    let signed_in = fixture.sign_in_from(source, email, password).await;
    signed_in.unwrap_err()
}

fn bad_credentials() -> (Code, String) {
    (Code::Unauthenticated, "BAD_CREDENTIALS".into())
}

fn too_many() -> (Code, String) {
    (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".into())
}

#[tokio::test]
async fn ten_wrong_passwords_refuse_the_stranger_and_not_the_member() {
    let fixture = with_ann().await;
    for _ in 0..10 {
        let refused = fail(&fixture, STRANGER, ANN, "wrong").await;
        assert_eq!(refusal(&refused), bad_credentials());
    }
    fixture.advance(SignedDuration::from_mins(5));
    for password in ["wrong", PASSWORD] {
        let refused = fail(&fixture, STRANGER, ANN, password).await;
        assert_eq!(refusal(&refused), too_many());
        assert_eq!(delay(&refused).unwrap().as_secs(), 600);
    }
    fixture.sign_in_from(HOME, ANN, PASSWORD).await.unwrap();
    fixture
        .sign_in_from(source(1), ANN, PASSWORD)
        .await
        .unwrap();
    fixture.advance(SignedDuration::from_mins(10));
    fixture.sign_in_from(STRANGER, ANN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_right_password_forgets_the_wrong_ones_of_its_source() {
    let fixture = with_ann().await;
    for _ in 0..3 {
        for _ in 0..9 {
            fail(&fixture, HOME, ANN, "wrong").await;
        }
        fixture.sign_in_from(HOME, ANN, PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn one_password_for_many_addresses_admits_only_members_who_know_the_source() {
    let fixture = with_ann().await;
    fixture.join(bob()).await.unwrap();
    let bob = "bob@example.org";
    fixture.sign_in_from(STRANGER, bob, PASSWORD).await.unwrap();
    for n in 0..50 {
        let email = format!("somebody{n}@example.org");
        let refused = fail(&fixture, STRANGER, &email, PASSWORD).await;
        assert_eq!(refusal(&refused), bad_credentials());
    }
    for email in [ANN, "nobody@example.org"] {
        let refused = fail(&fixture, STRANGER, email, PASSWORD).await;
        assert_eq!(refusal(&refused), too_many(), "{email}");
    }
    fixture.sign_in_from(STRANGER, bob, PASSWORD).await.unwrap();
    fixture
        .sign_in_from(source(1), ANN, PASSWORD)
        .await
        .unwrap();
}

#[tokio::test]
async fn guesses_from_many_sources_admit_only_sources_that_the_member_knows() {
    let fixture = with_ann().await;
    for n in 0..100 {
        let refused = fail(&fixture, source(n), ANN, "wrong").await;
        assert_eq!(refusal(&refused), bad_credentials());
    }
    let refused = fail(&fixture, source(100), ANN, PASSWORD).await;
    assert_eq!(refusal(&refused), too_many());
    fixture.sign_in_from(HOME, ANN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn an_address_with_an_account_and_one_without_get_the_same_errors() {
    let (known, unknown) = (with_ann().await, fixture().await);
    // Of the strangers some come once, some too often, and one with many addresses.
    let strangers = (0..60).map(|n| (STRANGER, format!("somebody{n}@example.org")));
    let often = (0..12).map(|_| (source(200), ANN.to_owned()));
    let once = (0..90).map(|n| (source(n), ANN.to_owned()));
    let last = [STRANGER, source(200), source(201)].map(|source| (source, ANN.to_owned()));
    for (source, email) in strangers.chain(often).chain(once).chain(last) {
        for fixture in [&known, &unknown] {
            fixture.advance(SignedDuration::from_secs(1));
        }
        let with_account = fail(&known, source, &email, "wrong").await;
        let without = fail(&unknown, source, &email, "wrong").await;
        assert_eq!(refusal(&with_account), refusal(&without));
        assert_eq!(with_account.message(), without.message());
        assert_eq!(with_account.details(), without.details());
    }
}

#[tokio::test]
async fn failed_attempts_are_counted_over_a_restart() {
    let mut fixture = with_ann().await;
    let addresses = [ANN, "nobody@example.org"];
    for _ in 0..2 {
        for _ in 0..5 {
            for email in addresses {
                let refused = fail(&fixture, STRANGER, email, "wrong").await;
                assert_eq!(refusal(&refused), bad_credentials());
            }
        }
        fixture.restart();
    }
    for email in addresses {
        let refused = fail(&fixture, STRANGER, email, "wrong").await;
        assert_eq!(refusal(&refused), too_many());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_guesses_get_no_more_than_ten_attempts() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let mut checked = 0;
    // Of so many at once some are refused because the queue for hashes is full.
    for _ in 0..10 {
        let guesses = (0..30).map(|_| fixture.sign_in("ann@example.org", "wrong"));
        let results = futures::future::join_all(guesses).await;
        let reasons = results
            .iter()
            .map(|result| refusal(result.as_ref().unwrap_err()).1);
        checked += reasons.filter(|reason| reason == "BAD_CREDENTIALS").count();
    }
    assert_eq!(checked, 10);
}
