//! Does the platform survive every invalid request?
use contract::{
    client::{Outcome, send_bytes},
    hostile::{CANARY, Mutation, malformed, mutations},
    outcomes::{no_fault, no_internals, no_overrides, no_secrets, small_status},
    requests::{REQUESTS, RequestCase, with_text},
    world::World,
};
use futures::{StreamExt, stream};
use prost_reflect::MethodDescriptor;

/// Concurrent requests.
const CONCURRENT: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_makes_the_platform_fail() {
    let world = World::start(all::contexts()).await.unwrap();
    let mut sent = 0;
    let mut wrong = Vec::new();
    for case in REQUESTS {
        let (count, found) = send_mutations(&world, case).await;
        sent += count;
        wrong.extend(found);
    }
    assert_eq!(wrong, [""; 0]);
    assert!(sent > 1000, "only {sent} were sent");
    world.quiet().await.unwrap();
    assert!(world.platform.health().is_ready());
}

/// Sends every mutation of a request. Returns their number and the violations.
pub(crate) async fn send_mutations(world: &World, case: &RequestCase) -> (usize, Vec<String>) {
    let (method, request) = case.request(world).unwrap();
    let all = mutations(&request);
    let count = all.len();
    let sent = stream::iter(all)
        .map(|hostile| send_mutation(world, case, &method, hostile))
        .buffer_unordered(CONCURRENT)
        .collect::<Vec<_>>();
    let mut wrong = sent.await.concat();
    for (what, bytes) in malformed() {
        let headers = world.headers(case.caller());
        let outcome = send_bytes(&world.channel, &method, bytes.into(), &headers).await;
        wrong.extend(judge(&method, what, &outcome));
    }
    (count, wrong)
}

async fn send_mutation(
    world: &World,
    case: &RequestCase,
    method: &MethodDescriptor,
    hostile: Mutation,
) -> Vec<String> {
    // The generated text is generated again, unless it is the mutated field.
    let Mutation { what, mut request } = hostile;
    if let Some((path, make)) = case.generated
        && !path
            .rsplit('.')
            .next()
            .is_some_and(|name| what.contains(&format!("{name} ")))
        && let Ok(again) = with_text(&request, path, &make(&request))
    {
        request = again;
    }
    let outcome = world.call(case.caller(), method, &request).await;
    judge(method, &what, &outcome)
}

fn judge(method: &MethodDescriptor, what: &str, outcome: &Outcome) -> Vec<String> {
    let secrets = [CANARY.to_owned()];
    let found = [
        no_fault(outcome),
        no_internals(outcome),
        no_overrides(outcome),
        no_secrets(outcome, &secrets),
        small_status(outcome),
    ]
    .concat();
    found
        .into_iter()
        .map(|wrong| format!("{}, {what}: {wrong}", method.full_name()))
        .collect()
}
