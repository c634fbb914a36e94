//! Does every change by an operator leave a record?
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

use berth::common::v1::Role;
use contract::{
    client,
    contracts::{access, methods},
    requests::REQUESTS,
    world::{Person, World},
};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::transport::{Channel, Endpoint};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt};
use uuid::Uuid;

/// The fields of a record.
type Record = BTreeMap<&'static str, String>;

/// The audit trail of all platforms in this process.
static RECORDS: Mutex<Vec<Record>> = Mutex::new(Vec::new());

/// Keeps the records of the target that the documentation names.
struct Trail;

impl<S: Subscriber> Layer<S> for Trail {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "audit" {
            let mut record = Fields::default();
            event.record(&mut record);
            let mut records = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
            records.push(record.0);
        }
    }
}

#[derive(Default)]
struct Fields(Record);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// The platform, and a connection to its admin port.
struct Audited {
    world: World,
    admin_port: Channel,
}

impl Audited {
    async fn start() -> Self {
        let subscriber = tracing_subscriber::registry().with(Trail);
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let world = World::start(all::contexts()).await.unwrap();
        let admin = format!("http://{}", world.platform.admin());
        let admin_port = Endpoint::from_shared(admin).unwrap().connect_lazy();
        Self { world, admin_port }
    }

    /// Calls an rpc for something that exists, and returns the code of the response and the records of the call.
    async fn call(&self, person: Person, method: &MethodDescriptor) -> (String, Vec<Record>) {
        let name = method.full_name().trim_start_matches("berth.");
        let case = REQUESTS.iter().find(|case| case.rpc == name);
        let (channel, request) = match case {
            Some(case) => (&self.world.channel, case.request(&self.world).unwrap().1),
            None => (&self.admin_port, DynamicMessage::new(method.input())),
        };
        let id = Uuid::new_v4().to_string();
        let mut headers = self.world.headers(person);
        headers.push(("x-request-id", id.clone()));
        let outcome = client::call(channel, method, &request, &headers).await;
        let records = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
        let of_call = records
            .iter()
            .filter(|record| record.get("request_id") == Some(&id));
        (format!("{:?}", outcome.code), of_call.cloned().collect())
    }
}

/// The rpcs that only operators may call and that change something, as their contracts say.
fn changes_by_operators(world: &World) -> Vec<MethodDescriptor> {
    let is_one = |method: &MethodDescriptor| {
        let access = access(method).unwrap();
        let proto = method.method_descriptor_proto();
        let level = proto.options.as_ref().unwrap().idempotency_level();
        access.roles == [i32::from(Role::Admin)] && level.as_str_name() != "NO_SIDE_EFFECTS"
    };
    methods(&world.pool).filter(is_one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_by_an_operator_leaves_one_record() {
    let audited = Audited::start().await;
    let changes = changes_by_operators(&audited.world);
    let names: Vec<_> = changes.iter().map(MethodDescriptor::name).collect();
    for known in [
        "SetRoles",
        "SuspendMember",
        "RotateKeys",
        "RedriveDeadLetters",
        "Rebuild",
    ] {
        assert!(names.contains(&known), "{names:?}");
    }
    for method in &changes {
        let (code, records) = audited.call(Person::Admin, method).await;
        let [record] = &records[..] else {
            panic!("{}: {records:?}", method.full_name());
        };
        let action = format!("{}/{}", method.parent_service().full_name(), method.name());
        assert_eq!(record["action"], action);
        record["actor"].parse::<Uuid>().unwrap();
        assert_eq!(record["outcome"].replace('_', ""), code.to_uppercase());
        // An empty request on the admin port names nothing, and `Rebuild` has no subject.
        let names_something = method.input().fields().len() > 0
            && REQUESTS
                .iter()
                .any(|case| method.full_name().ends_with(case.rpc));
        assert_eq!(record["subject"].is_empty(), !names_something, "{record:?}");
    }

    // So does an attempt of somebody who is none, but not a call that changes nothing.
    let suspend = audited.world.rpc("member.v1.MemberService.SuspendMember");
    let (code, records) = audited.call(Person::Guest, &suspend.unwrap()).await;
    assert_eq!((&*code, records.len()), ("PermissionDenied", 1));
    assert_eq!(records[0]["outcome"], "PERMISSION_DENIED");
    assert_eq!(records[0]["actor"], Person::Guest.id());
    for (rpc, person) in [
        ("member.v1.MemberService.GetMember", Person::Admin),
        ("member.v1.MemberService.ChangePassword", Person::Guest),
        ("member.v1.MemberService.SuspendMember", Person::Anonymous),
    ] {
        let method = audited.world.rpc(rpc).unwrap();
        assert_eq!(audited.call(person, &method).await.1, [], "{rpc}");
    }

    // An operator who acts for somebody else is recorded with every rpc that changes something, without their secrets.
    let password = audited.world.rpc("member.v1.MemberService.ChangePassword");
    let (_, records) = audited.call(Person::Admin, &password.unwrap()).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["subject"].split('=').count(), 2, "{records:?}");
}
