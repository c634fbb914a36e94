//! Does every rpc enforce the access that its contract declares?
use contract::{
    client::Outcome,
    contracts::access,
    outcomes::{
        access_as_declared, accessible, hidden, indistinguishable, no_fault, no_internals,
        no_secrets,
    },
    requests::{Owner, REQUESTS, RequestCase, uncovered, with_text},
    world::{Person, World, id},
};
use prost_reflect::{DynamicMessage, MethodDescriptor};

/// A person with the same role who owns nothing.
fn other_of(owner: Person) -> Person {
    match owner {
        Person::Host => Person::OtherHost,
        _ => Person::OtherGuest,
    }
}

/// Adds violations, with the rpc and the caller.
fn note(wrong: &mut Vec<String>, person: Person, method: &MethodDescriptor, found: Vec<String>) {
    let of = |what| format!("{} by {person:?}: {what}", method.full_name());
    wrong.extend(found.into_iter().map(of));
}

/// Rules for every outcome.
fn always(outcome: &Outcome) -> Vec<String> {
    [no_fault(outcome), no_internals(outcome)].concat()
}

/// Requirement: A-C29.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_enforces_the_access_of_its_contract() {
    let world = World::start(all::contexts()).await.unwrap();
    assert_eq!(uncovered(&world, REQUESTS), [""; 0]);
    assert_eq!(access_violations(&world, REQUESTS).await, [""; 0]);
}

/// Calls every rpc as every person, with an empty request and with a valid one.
pub(crate) async fn access_violations(world: &World, cases: &[RequestCase]) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases {
        let (method, request) = case.request(world).unwrap();
        let access = access(&method).unwrap();
        for person in Person::ALL {
            for request in [&DynamicMessage::new(method.input()), &request] {
                let outcome = world.call(person, &method, request).await;
                let found = [
                    always(&outcome),
                    access_as_declared(&access, person.roles(), &outcome),
                ];
                note(&mut wrong, person, &method, found.concat());
            }
        }
    }
    wrong
}

/// Requirement: A-C29.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_of_others_are_not_found() {
    let world = World::start(all::contexts()).await.unwrap();
    assert_eq!(leaks_to_others(&world, REQUESTS).await, [""; 0]);
    assert_eq!(denials_to_owners(&world, REQUESTS).await, [""; 0]);
}

/// Calls as somebody else, for a resource that exists and for one that does not.
pub(crate) async fn leaks_to_others(world: &World, cases: &[RequestCase]) -> Vec<String> {
    let mut wrong = Vec::new();
    let nothing = id("nothing");
    for case in cases {
        let (method, request) = case.request(world).unwrap();
        let owner = case.caller();
        let other = other_of(owner);
        let theirs = world.call(other, &method, &request).await;
        if case.owner != Owner::Unowned {
            note(
                &mut wrong,
                other,
                &method,
                no_secrets(&theirs, &world.secrets()),
            );
        }
        match case.owner {
            Owner::Unowned => {}
            Owner::InRequest(_) => {
                let path = access(&method).unwrap().owner_field;
                let none = with_text(&request, &path, &nothing).unwrap();
                let none = world.call(other, &method, &none).await;
                note(&mut wrong, other, &method, hidden(&theirs, &none));
            }
            Owner::OfResource(path, _) => {
                let none = with_text(&request, path, &nothing).unwrap();
                let own = world.call(owner, &method, &none).await;
                let none = world.call(other, &method, &none).await;
                note(&mut wrong, other, &method, hidden(&theirs, &none));
                note(&mut wrong, owner, &method, indistinguishable(&theirs, &own));
            }
            Owner::OfListed(name, _) => {
                let shown = no_secrets(&theirs, &[id(name)]);
                note(&mut wrong, other, &method, shown);
            }
        }
    }
    wrong
}

/// Calls as the owner, for a resource that exists.
pub(crate) async fn denials_to_owners(world: &World, cases: &[RequestCase]) -> Vec<String> {
    let mut wrong = Vec::new();
    for case in cases.iter().filter(|case| case.owner != Owner::Unowned) {
        let (method, request) = case.request(world).unwrap();
        let owner = case.caller();
        let outcome = world.call(owner, &method, &request).await;
        note(
            &mut wrong,
            owner,
            &method,
            [always(&outcome), accessible(&outcome)].concat(),
        );
        if let Owner::OfListed(name, _) = case.owner
            && no_secrets(&outcome, &[id(name)]).is_empty()
        {
            let what = vec![format!("does not show {name}")];
            note(&mut wrong, owner, &method, what);
        }
        // All effects are applied before the next call.
        world.quiet().await.unwrap();
    }
    wrong
}

/// A stay of somebody else looks like one that does not exist, although a review has the ids of both stay and author.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stay_of_another_guest_looks_like_none() {
    let world = World::start(all::contexts()).await.unwrap();
    let method = world.rpc("room.v1.RoomService.CreateReview").unwrap();
    let request = REQUESTS
        .iter()
        .find(|case| case.rpc.ends_with("CreateReview"));
    let (_, request) = request.unwrap().request(&world).unwrap();
    let request = with_text(&request, "review.author_id", &Person::OtherGuest.id()).unwrap();
    let theirs = world.call(Person::OtherGuest, &method, &request).await;
    let request = with_text(&request, "review.reservation_id", &id("nothing")).unwrap();
    let none = world.call(Person::OtherGuest, &method, &request).await;
    assert_eq!(indistinguishable(&theirs, &none), [""; 0]);
    assert_eq!(none.reason, "STAY_NOT_COMPLETED");
}

/// The screen shows a reservation only to its customer, its host and operators.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_view_hides_reservations_from_others() {
    let world = World::start(all::contexts()).await.unwrap();
    let mut seen = Vec::new();
    for name in ["GetRoomView", "ListRoomViews"] {
        let case = REQUESTS
            .iter()
            .find(|case| case.rpc.ends_with(name))
            .unwrap();
        let (method, request) = case.request(&world).unwrap();
        for person in Person::ALL {
            let outcome = world.call(person, &method, &request).await;
            assert_eq!(accessible(&outcome), [""; 0]);
            let private = [id("stayed"), id("paid"), id("pending"), id("pending too")];
            if !no_secrets(&outcome, &private).is_empty() {
                seen.push(person);
            }
        }
    }
    let concerned =
        |person: &Person| matches!(person, Person::Guest | Person::Host | Person::Admin);
    assert!(
        seen.contains(&Person::Guest) && seen.contains(&Person::Host),
        "{seen:?}"
    );
    assert!(seen.iter().all(concerned), "{seen:?}");
}
