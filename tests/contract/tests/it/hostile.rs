//! Does the platform stay civil whatever it is sent?
use contract::{
    answers::{civil, discreet, silent},
    hostile::{CANARY, Hostile, garbage, spoiled},
    knock::{Answer, send},
    rows::{ROWS, Row, with},
    world::World,
};
use futures::{StreamExt, stream};
use prost_reflect::MethodDescriptor;

/// So many at the same time.
const ABREAST: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_sent_breaks_anything() {
    let world = World::start(all::contexts()).await.unwrap();
    let mut sent = 0;
    let mut wrong = Vec::new();
    for row in ROWS {
        let (count, found) = spoil(&world, row).await;
        sent += count;
        wrong.extend(found);
    }
    assert_eq!(wrong, [""; 0]);
    assert!(sent > 1000, "only {sent} were sent");
    world.rest().await.unwrap();
    assert!(world.platform.health().is_ready());
}

/// Sends every spoiled request of an rpc on behalf of who may ask. Answers how many, and what was wrong.
pub(crate) async fn spoil(world: &World, row: &Row) -> (usize, Vec<String>) {
    let (method, request) = row.request(world).unwrap();
    let all = spoiled(&request);
    let count = all.len();
    let sent = stream::iter(all)
        .map(|hostile| try_one(world, row, &method, hostile))
        .buffer_unordered(ABREAST)
        .collect::<Vec<_>>();
    let mut wrong = sent.await.concat();
    for (what, bytes) in garbage() {
        let headers = world.headers(row.asker());
        let answer = send(&world.channel, &method, bytes.into(), &headers).await;
        wrong.extend(judge(&method, what, &answer));
    }
    (count, wrong)
}

async fn try_one(
    world: &World,
    row: &Row,
    method: &MethodDescriptor,
    hostile: Hostile,
) -> Vec<String> {
    // What has to be made anew is, unless it is just that which is wrong.
    let Hostile { what, mut request } = hostile;
    if let Some((path, make)) = row.made
        && !path
            .rsplit('.')
            .next()
            .is_some_and(|name| what.contains(&format!("{name} ")))
        && let Ok(anew) = with(&request, path, &make(&request))
    {
        request = anew;
    }
    let answer = world.ask(row.asker(), method, &request).await;
    judge(method, &what, &answer)
}

fn judge(method: &MethodDescriptor, what: &str, answer: &Answer) -> Vec<String> {
    let secrets = [CANARY.to_owned()];
    let found = [civil(answer), discreet(answer), silent(answer, &secrets)].concat();
    found
        .into_iter()
        .map(|wrong| format!("{}, {what}: {wrong}", method.full_name()))
        .collect()
}
