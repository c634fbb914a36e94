//! Accounts: join, roles, suspension.

use std::collections::BTreeMap;

use berth::{
    common::v1::Role,
    member::v1::{
        GetMemberRequest, JoinRequest, MemberJoined, MemberModified, SetRolesRequest,
        SuspendMemberRequest,
    },
};
use chassis::{Caller, MemberId, base::time::SignedDuration};
use prost::{Message, Name};
use tonic::Code;
use tonic_types::StatusExt;

use crate::fixture::{ANN, BOB, Fixture, PASSWORD, admin, ann, bob, by, fixture, refusal};

#[tokio::test]
async fn a_member_joins_as_customer_by_default() {
    let fixture = fixture().await;
    let ann = fixture.join(ann()).await.unwrap();
    assert_eq!(ann.email, "ann@example.org");
    assert_eq!(ann.roles, [Role::Customer as i32]);
    assert_eq!((ann.version, ann.suspended), (1, false));
    let bob = fixture.join(bob()).await.unwrap();
    assert_eq!(bob.roles, [Role::Customer as i32, Role::Host as i32]);
}

#[tokio::test]
async fn a_repeated_join_returns_the_same_and_changes_nothing() {
    let fixture = fixture().await;
    let first = fixture.join(ann()).await.unwrap();
    fixture.advance(SignedDuration::from_hours(1));
    assert_eq!(fixture.join(ann()).await.unwrap(), first);
    assert_eq!(events(&fixture, ANN).await.len(), 1);
}

#[tokio::test]
async fn a_repeated_join_with_other_content_is_refused() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let others = [
        JoinRequest {
            email: "eve@example.org".into(),
            ..ann()
        },
        JoinRequest {
            display_name: "Eve".into(),
            ..ann()
        },
        JoinRequest {
            password: "another password".into(),
            ..ann()
        },
        JoinRequest {
            roles: vec![Role::Host.into()],
            ..ann()
        },
    ];
    for other in others {
        let refused = fixture.join(other).await.unwrap_err();
        let expected = (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED".into());
        assert_eq!(refusal(&refused), expected);
    }
}

#[tokio::test]
async fn repeated_joins_with_wrong_passwords_count_as_failed_attempts() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    for n in 0..10 {
        let guess = JoinRequest {
            password: format!("wrong password {n}"),
            ..ann()
        };
        assert_eq!(
            fixture.join(guess).await.unwrap_err().code(),
            Code::AlreadyExists
        );
    }
    let refused = fixture.join(ann()).await.unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".into())
    );
}

#[tokio::test]
async fn an_email_address_is_unique_regardless_of_case() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let eve = JoinRequest {
        email: "aNN@example.ORG".into(),
        ..bob()
    };
    let refused = fixture.join(eve).await.unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::AlreadyExists, "EMAIL_TAKEN".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_joins_with_one_email_address_one_succeeds() {
    let fixture = fixture().await;
    let joins = (1..9).map(|n| {
        let member_id = MemberId::from_u128(n).to_string();
        fixture.join(JoinRequest { member_id, ..ann() })
    });
    let joined = futures::future::join_all(joins).await;
    assert_eq!(joined.iter().filter(|joined| joined.is_ok()).count(), 1);
    for refused in joined.iter().filter_map(|joined| joined.as_ref().err()) {
        assert_eq!(refusal(refused).1, "EMAIL_TAKEN");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_repeats_of_a_join_return_the_same() {
    let fixture = fixture().await;
    let joined = futures::future::join_all((0..8).map(|_| fixture.join(ann()))).await;
    for join in &joined {
        assert_eq!(join.as_ref().unwrap(), joined[0].as_ref().unwrap());
    }
    assert_eq!(events(&fixture, ANN).await.len(), 1);
}

#[tokio::test]
async fn all_violations_are_reported_without_the_password() {
    let fixture = fixture().await;
    let request = JoinRequest {
        member_id: "x".into(),
        email: "canary".into(),
        display_name: "a\nb".into(),
        password: "canary".into(),
        roles: vec![Role::Admin.into(), 7, -1],
    };
    let refused = fixture.join(request).await.unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::InvalidArgument, "INVALID_REQUEST".into())
    );
    let fields = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = fields
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "member_id",
            "email",
            "display_name",
            "password",
            "roles",
            "roles"
        ]
    );
    assert!(!format!("{refused:?}").contains("canary"));
}

#[tokio::test]
async fn hostile_input_is_an_invalid_argument() {
    let fixture = fixture().await;
    let hostile = [
        JoinRequest {
            email: "a@b.c\0".into(),
            ..ann()
        },
        JoinRequest {
            email: format!("{}@b.c", "a".repeat(100_000)),
            ..ann()
        },
        JoinRequest {
            display_name: String::new(),
            ..ann()
        },
        JoinRequest {
            display_name: "a".repeat(101),
            ..ann()
        },
        JoinRequest {
            display_name: "a\0".into(),
            ..ann()
        },
        JoinRequest {
            display_name: "\u{200b}\u{2060}".into(),
            ..ann()
        },
        JoinRequest {
            display_name: "\u{202e}nnA".into(),
            ..ann()
        },
        JoinRequest {
            display_name: format!("A{}", "\u{301}".repeat(99)),
            ..ann()
        },
        JoinRequest {
            email: "a\u{200b}nn@example.org".into(),
            ..ann()
        },
        JoinRequest {
            password: "correct\u{200b} horse".into(),
            ..ann()
        },
        JoinRequest {
            password: "a".repeat(201),
            ..ann()
        },
        JoinRequest {
            roles: vec![i32::MIN],
            ..ann()
        },
        JoinRequest {
            member_id: "00000000-0000-0000-0000-000000000000".into(),
            ..ann()
        },
    ];
    for request in hostile {
        assert_eq!(
            fixture.join(request).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
}

#[tokio::test]
async fn email_addresses_that_look_alike_are_one_account() {
    let fixture = fixture().await;
    let first = JoinRequest {
        email: "Jos\u{e9}@b\u{fc}cher.example".into(),
        ..ann()
    };
    let joined = fixture.join(first).await.unwrap();
    assert_eq!(joined.email, "jos\u{e9}@xn--bcher-kva.example");
    for email in [
        "jose\u{301}@bu\u{308}cher.example",
        "ＪＯＳ\u{c9}＠b\u{fc}cher.example",
        "jos\u{e9}@XN--BCHER-KVA.example",
        &joined.email,
    ] {
        let second = JoinRequest {
            email: email.into(),
            ..bob()
        };
        let refused = fixture.join(second).await.unwrap_err();
        assert_eq!(refusal(&refused).1, "EMAIL_TAKEN", "{email}");
        fixture.sign_in(email, PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn a_password_is_the_same_in_composed_and_decomposed_form() {
    let fixture = fixture().await;
    let composed = "gr\u{fc}ne Bl\u{e4}tter im Mai";
    let request = JoinRequest {
        password: composed.into(),
        ..ann()
    };
    let joined = fixture.join(request.clone()).await.unwrap();
    let decomposed = "gru\u{308}ne\u{a0}Bla\u{308}tter im\u{3000}Mai";
    for password in [composed, decomposed] {
        let signed_in = fixture.sign_in("ann@example.org", password).await;
        assert_eq!(signed_in.unwrap().member.as_ref(), Some(&joined));
    }
    let repeat = JoinRequest {
        password: decomposed.into(),
        ..request
    };
    assert_eq!(fixture.join(repeat).await.unwrap(), joined);
}

#[tokio::test]
async fn a_new_password_that_is_easy_to_guess_is_refused() {
    let fixture = fixture().await;
    let easy = [
        "password1234",
        "Ann@Example.org",
        "berthberth",
        "annannannann",
    ];
    for password in easy {
        let request = JoinRequest {
            password: password.into(),
            ..ann()
        };
        let refused = fixture.join(request).await.unwrap_err();
        assert_guessable(&refused, "password");
    }
    fixture.join(ann()).await.unwrap();
    let tokens = fixture.ann_signs_in().await;
    for password in easy {
        let refused = fixture.change_password(&tokens, PASSWORD, password).await;
        assert_guessable(&refused.unwrap_err(), "new_password");
    }
}

fn assert_guessable(refused: &tonic::Status, field: &str) {
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let [violation] = violations.as_slice() else {
        panic!("{violations:?}")
    };
    assert_eq!(violation.field, field);
    assert_eq!(violation.description, "is too easy to guess");
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_member_is_visible_to_themself_and_to_admins_only() {
    let fixture = fixture().await;
    let joined = fixture.join(ann()).await.unwrap();
    let get = async |caller: Caller, id: MemberId| {
        let member_id = id.to_string();
        let request = by(caller, GetMemberRequest { member_id });
        let got = fixture.client.clone().get_member(request).await?;
        Ok::<_, tonic::Status>(got.into_inner().member.unwrap())
    };
    let person = |id| Caller::person(id, &[Role::Customer]);
    assert_eq!(get(person(ANN), ANN).await.unwrap(), joined);
    assert_eq!(get(admin(), ANN).await.unwrap(), joined);
    let foreign = get(person(BOB), ANN).await.unwrap_err();
    let absent = get(person(BOB), MemberId::from_u128(77)).await.unwrap_err();
    let own = get(person(BOB), BOB).await.unwrap_err();
    for refused in [&foreign, &absent, &own] {
        assert_eq!(refusal(refused), (Code::NotFound, "NOT_FOUND".into()));
        assert_eq!(refused.message(), "no such member");
        assert_eq!(refused.details(), foreign.details());
    }
}

#[tokio::test]
async fn new_roles_are_returned_and_published() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let set = async |id: MemberId, roles: Vec<i32>| {
        let request = SetRolesRequest {
            member_id: id.to_string(),
            roles,
        };
        let set = fixture
            .client
            .clone()
            .set_roles(by(admin(), request))
            .await?;
        Ok::<_, tonic::Status>(set.into_inner().member.unwrap())
    };
    let both = vec![Role::Customer.into(), Role::Admin.into()];
    let first = set(ANN, both.clone()).await.unwrap();
    assert_eq!(first.roles, both);
    assert_eq!(set(ANN, both.clone()).await.unwrap(), first);
    assert_eq!(
        set(ANN, vec![]).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        set(ANN, vec![0]).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let unknown = set(BOB, both).await.unwrap_err();
    assert_eq!(refusal(&unknown), (Code::NotFound, "NOT_FOUND".into()));
    assert_eq!(unknown.message(), "no such member");

    let events = events(&fixture, ANN).await;
    assert_eq!(events.keys().collect::<Vec<_>>(), [&1, &2]);
    assert_eq!(events[&1].0, MemberJoined::full_name());
    assert_eq!(events[&2].0, MemberModified::full_name());
    let modified = MemberModified::decode(&*events[&2].1).unwrap();
    assert_eq!(modified.member, Some(first));
}

#[tokio::test]
async fn a_suspended_member_cannot_sign_in_until_the_suspension_is_lifted() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let suspend = async |suspended| {
        let request = SuspendMemberRequest {
            member_id: ANN.to_string(),
            suspended,
        };
        let done = fixture
            .client
            .clone()
            .suspend_member(by(admin(), request))
            .await;
        done.unwrap().into_inner().member.unwrap()
    };
    assert!(suspend(true).await.suspended);
    let refused = fixture
        .sign_in("ann@example.org", PASSWORD)
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::Unauthenticated, "MEMBER_SUSPENDED".into())
    );
    let refused = fixture
        .sign_in("ann@example.org", "wrong")
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::Unauthenticated, "BAD_CREDENTIALS".into())
    );
    assert!(!suspend(false).await.suspended);
    fixture.ann_signs_in().await;
}

/// Type and data of the events about a member, by version.
async fn events(fixture: &Fixture, id: MemberId) -> BTreeMap<i64, (String, Vec<u8>)> {
    let log = fixture
        .runtime
        .deps
        .store
        .log_of(id.to_string())
        .await
        .unwrap();
    log.into_iter()
        .map(|event| (event.version, (event.event_type, event.data.to_vec())))
        .collect()
}
