//! Does the platform keep what its contracts say about who may do what?
use contract::{
    answers::{absent, civil, discreet, found, gate, same, silent},
    contracts::access,
    knock::Answer,
    rows::{ROWS, Row, Whose, gaps, with},
    world::{Person, World, id},
};
use prost_reflect::{DynamicMessage, MethodDescriptor};

/// Somebody with the same role who owns nothing.
fn foreigner(owner: Person) -> Person {
    match owner {
        Person::Host => Person::Rival,
        _ => Person::Stranger,
    }
}

/// What is wrong, with who asked for what.
fn note(wrong: &mut Vec<String>, person: Person, method: &MethodDescriptor, found: Vec<String>) {
    let of = |what| format!("{} by {person:?}: {what}", method.full_name());
    wrong.extend(found.into_iter().map(of));
}

/// What is wrong with an answer, whoever asked for whatever.
fn always(answer: &Answer) -> Vec<String> {
    [civil(answer), discreet(answer)].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_lets_in_whom_its_contract_lets_in() {
    let world = World::start(all::contexts()).await.unwrap();
    assert_eq!(gaps(&world, ROWS), [""; 0]);
    assert_eq!(who_comes_in(&world, ROWS).await, [""; 0]);
}

/// Knocks at every rpc as everybody, with nothing and with something that exists.
pub(crate) async fn who_comes_in(world: &World, rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        let (method, request) = row.request(world).unwrap();
        let access = access(&method).unwrap();
        for person in Person::ALL {
            for request in [&DynamicMessage::new(method.input()), &request] {
                let answer = world.ask(person, &method, request).await;
                let found = [always(&answer), gate(&access, person.roles(), &answer)];
                note(&mut wrong, person, &method, found.concat());
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_others_is_not_there() {
    let world = World::start(all::contexts()).await.unwrap();
    assert_eq!(what_others_find(&world, ROWS).await, [""; 0]);
    assert_eq!(what_owners_find(&world, ROWS).await, [""; 0]);
}

/// Asks for what exists as somebody else, and for what does not.
pub(crate) async fn what_others_find(world: &World, rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    let nothing = id("nothing");
    for row in rows {
        let (method, request) = row.request(world).unwrap();
        let owner = row.asker();
        let other = foreigner(owner);
        let theirs = world.ask(other, &method, &request).await;
        if row.whose != Whose::Nobodys {
            note(
                &mut wrong,
                other,
                &method,
                silent(&theirs, &world.secrets()),
            );
        }
        match row.whose {
            Whose::Nobodys => {}
            Whose::Named(_) => {
                let path = access(&method).unwrap().owner_field;
                let none = with(&request, &path, &nothing).unwrap();
                let none = world.ask(other, &method, &none).await;
                note(&mut wrong, other, &method, absent(&theirs, &none));
            }
            Whose::Owned(path, _) => {
                let none = with(&request, path, &nothing).unwrap();
                let own = world.ask(owner, &method, &none).await;
                let none = world.ask(other, &method, &none).await;
                note(&mut wrong, other, &method, absent(&theirs, &none));
                note(&mut wrong, owner, &method, same(&theirs, &own));
            }
            Whose::Listed(name, _) => {
                let shown = silent(&theirs, &[id(name)]);
                note(&mut wrong, other, &method, shown);
            }
        }
    }
    wrong
}

/// Asks for what exists as whoever owns it.
pub(crate) async fn what_owners_find(world: &World, rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows.iter().filter(|row| row.whose != Whose::Nobodys) {
        let (method, request) = row.request(world).unwrap();
        let owner = row.asker();
        let answer = world.ask(owner, &method, &request).await;
        note(
            &mut wrong,
            owner,
            &method,
            [always(&answer), found(&answer)].concat(),
        );
        if let Whose::Listed(name, _) = row.whose
            && silent(&answer, &[id(name)]).is_empty()
        {
            let what = vec![format!("does not show {name}")];
            note(&mut wrong, owner, &method, what);
        }
        // What was done is done everywhere before the next one asks.
        world.rest().await.unwrap();
    }
    wrong
}

/// A stay of somebody else cannot be told from none, although a review is named by it and by its author.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stay_of_another_guest_is_none() {
    let world = World::start(all::contexts()).await.unwrap();
    let method = world.rpc("room.v1.RoomService.CreateReview").unwrap();
    let request = ROWS.iter().find(|row| row.rpc.ends_with("CreateReview"));
    let (_, request) = request.unwrap().request(&world).unwrap();
    let request = with(&request, "review.author_id", &Person::Stranger.id()).unwrap();
    let theirs = world.ask(Person::Stranger, &method, &request).await;
    let request = with(&request, "review.reservation_id", &id("nothing")).unwrap();
    let none = world.ask(Person::Stranger, &method, &request).await;
    assert_eq!(same(&theirs, &none), [""; 0]);
    assert_eq!(none.reason, "STAY_NOT_COMPLETED");
}

/// The one screen shows a reservation to those whom it concerns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_does_not_tell_who_has_it() {
    let world = World::start(all::contexts()).await.unwrap();
    let mut seen = Vec::new();
    for name in ["GetRoomView", "ListRoomViews"] {
        let row = ROWS.iter().find(|row| row.rpc.ends_with(name)).unwrap();
        let (method, request) = row.request(&world).unwrap();
        for person in Person::ALL {
            let answer = world.ask(person, &method, &request).await;
            assert_eq!(found(&answer), [""; 0]);
            let private = [id("stayed"), id("paid"), id("pending"), id("pending too")];
            if !silent(&answer, &private).is_empty() {
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
