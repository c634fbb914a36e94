//! A running platform with members, rooms, reservations and a review.
use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use berth::common::v1::Role;
use chassis::{
    Clock, Context, Platform,
    base::{clock::ManualClock, time::SignedDuration},
    cli::usage,
    runtime::{config::Config, options::Options},
};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ServiceDescriptor};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::{
    client::{self, Headers, Outcome},
    contracts::contracts,
    flags,
};

/// The password of every member.
pub const PASSWORD: &str = "correct horse battery staple";
/// The webhook secret of the payment provider.
pub const WEBHOOK_SECRET: &str = "a secret of two";
/// The time at which the platform starts.
const BEGIN: &str = "2030-06-01T12:00:00Z";
const PATIENCE: Duration = Duration::from_secs(20);

/// A caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    /// Has no token.
    Anonymous,
    /// Claims to be a service, without a service token.
    FalseService,
    /// A customer with reservations.
    Guest,
    /// A customer without reservations.
    OtherGuest,
    /// A host with rooms.
    Host,
    /// A host without rooms.
    OtherHost,
    /// An operator of the platform.
    Admin,
}

impl Person {
    /// Every caller.
    pub const ALL: [Self; 7] = [
        Self::Anonymous,
        Self::FalseService,
        Self::Guest,
        Self::OtherGuest,
        Self::Host,
        Self::OtherHost,
        Self::Admin,
    ];

    /// Their roles.
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::Anonymous | Self::FalseService => &[],
            Self::Guest | Self::OtherGuest => &[Role::Customer],
            Self::Host | Self::OtherHost => &[Role::Host],
            Self::Admin => &[Role::Admin],
        }
    }

    /// Their id; an admin's is assigned.
    pub fn id(self) -> String {
        id(&format!("{self:?}"))
    }

    /// Their e-mail address.
    pub fn email(self) -> String {
        format!("{self:?}@example.com").to_lowercase()
    }
}

/// The id of a name, the same in every run.
pub fn id(name: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

/// The platform and its members.
pub struct World {
    /// The platform.
    pub platform: Platform,
    /// The contracts.
    pub pool: DescriptorPool,
    /// A connection to the public port.
    pub channel: Channel,
    /// The id of a message to the guest.
    pub message: String,
    /// The refresh token of a session of the other guest that no other request uses.
    pub spare_session: String,
    tokens: BTreeMap<Person, String>,
    clock: ManualClock,
    _dir: TempDir,
}

impl World {
    /// Starts contexts and creates the data: the guest has completed a stay and reviewed it, has a paid reservation, and
    /// two more that wait for the host's approval.
    pub async fn start(contexts: Vec<Context>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let clock = ManualClock::new(BEGIN.parse()?);
        let options = Options {
            clock: Clock::Manual(clock.clone()),
            ..options(&dir, &contexts)?
        };
        let platform = Platform::start(contexts, options).await?;
        let address = format!("http://{}", platform.public());
        let channel = Endpoint::from_shared(address)?.connect().await?;
        let mut world = Self {
            platform,
            pool: contracts()?,
            channel,
            message: String::new(),
            spare_session: String::new(),
            tokens: BTreeMap::new(),
            clock,
            _dir: dir,
        };
        world.join().await?;
        world.act().await?;
        Ok(world)
    }

    async fn join(&mut self) -> Result<()> {
        for person in Person::ALL {
            if person.roles().is_empty() || person == Person::Admin {
                continue;
            }
            let request = json!({
                "member_id": person.id(),
                "email": person.email(),
                "display_name": format!("{person:?}"),
                "password": PASSWORD,
                "roles": person.roles().iter().map(Role::as_str_name).collect::<Vec<_>>(),
            });
            self.call_ok(Person::Anonymous, "member.v1.MemberService.Join", request)
                .await?;
        }
        self.sign_in().await
    }

    /// Tokens expire, so every member signs in again after the clock was advanced.
    async fn sign_in(&mut self) -> Result<()> {
        for person in Person::ALL {
            if !person.roles().is_empty() {
                let [access, _] = self.tokens_of(person).await?;
                self.tokens.insert(person, access);
            }
        }
        let [_, refresh] = self.tokens_of(Person::OtherGuest).await?;
        self.spare_session = refresh;
        Ok(())
    }

    /// The access token and refresh token of a new session.
    async fn tokens_of(&self, person: Person) -> Result<[String; 2]> {
        let request = json!({"email": person.email(), "password": PASSWORD});
        let rpc = "member.v1.MemberService.SignIn";
        let outcome = self.call_ok(Person::Anonymous, rpc, request).await?;
        let tokens = outcome.get_field_by_name("tokens").context("no tokens")?;
        let tokens = tokens.as_message().context("no tokens")?;
        let text = |name: &str| -> Option<String> {
            let token = tokens.get_field_by_name(name)?;
            Some(token.as_str()?.to_owned())
        };
        let both = text("access_token").zip(text("refresh_token"));
        let (access, refresh) = both.context("no tokens")?;
        Ok([access, refresh])
    }

    async fn act(&mut self) -> Result<()> {
        for (room, approval) in [
            ("room", "APPROVAL_NONE"),
            ("approval room", "APPROVAL_HOST"),
        ] {
            let request = json!({"room": room_terms(&id(room), approval)});
            self.call_ok(Person::Host, "room.v1.RoomService.RegisterRoom", request)
                .await?;
        }
        // If the owner of an offer responds slowly, the replica must have it.
        self.quiet().await?;
        self.reserve("stayed", "room", 2).await?;
        self.reserve("paid", "room", 20).await?;
        self.quiet().await?;
        self.clock.turn(SignedDuration::from_hours(5 * 24));
        self.quiet().await?;
        self.sign_in().await?;
        self.reserve("pending", "approval room", 24).await?;
        self.reserve("pending too", "approval room", 26).await?;
        let review = json!({"review": review(&id("stayed"))});
        self.call_ok(Person::Guest, "room.v1.RoomService.CreateReview", review)
            .await?;
        self.quiet().await?;
        let rpc = "message.v1.MessageService.ListMessages";
        let inbox = self.call_ok(Person::Guest, rpc, json!({})).await?;
        self.message = first_message(&inbox).context("the guest has no message")?;
        Ok(())
    }

    async fn reserve(&self, name: &str, room: &str, day: u32) -> Result<()> {
        let rpc = "reservation.v1.ReservationService.RequestReservation";
        let request = reservation(&id(name), &id(room), day);
        self.call_ok(Person::Guest, rpc, request).await?;
        Ok(())
    }

    /// Waits until the platform has no work left.
    pub async fn quiet(&self) -> Result<()> {
        Ok(chassis_testing::quiet(self.platform.sites()).await?)
    }

    /// Whether the public port serves a service: one of a context's own package.
    pub fn serves(&self, service: &ServiceDescriptor) -> bool {
        let mut contexts = self.platform.sites().iter().map(|site| site.context.name);
        contexts.any(|name| service.package_name() == format!("berth.{name}.v1"))
    }

    /// The rpc of a name such as `room.v1.RoomService.GetRoom`.
    pub fn rpc(&self, name: &str) -> Result<MethodDescriptor> {
        let (service, method) = name.rsplit_once('.').context("no rpc")?;
        let service = self.pool.get_service_by_name(&format!("berth.{service}"));
        let methods = service.into_iter().flat_map(|service| {
            let methods: Vec<_> = service.methods().collect();
            methods
        });
        let mut named = methods.filter(|one| one.name() == method);
        named.next().with_context(|| format!("no rpc {name}"))
    }

    /// Calls an rpc on behalf of a person.
    pub async fn call(
        &self,
        person: Person,
        method: &MethodDescriptor,
        request: &DynamicMessage,
    ) -> Outcome {
        let headers = self.headers(person);
        client::call(&self.channel, method, request, &headers).await
    }

    async fn call_ok(&self, person: Person, rpc: &str, request: Value) -> Result<DynamicMessage> {
        let method = self.rpc(rpc)?;
        let request = DynamicMessage::deserialize(method.input(), request)?;
        let call = self.call(person, &method, &request);
        let outcome = tokio::time::timeout(PATIENCE, call).await?;
        outcome.response().with_context(|| rpc.to_owned())
    }

    /// The headers with a person's credentials.
    pub fn headers(&self, person: Person) -> Headers {
        match (person, self.tokens.get(&person)) {
            (Person::FalseService, _) => vec![("x-berth-service", "service:reservation".into())],
            (_, Some(access)) => vec![("authorization", format!("Bearer {access}"))],
            (_, None) => Vec::new(),
        }
    }

    /// Values that only the guest, the host and the operator may receive.
    pub fn secrets(&self) -> Vec<String> {
        let tokens = self.tokens.values().cloned();
        let own = [PASSWORD.to_owned(), Person::Guest.email(), id("paid")];
        tokens
            .chain([self.spare_session.clone()])
            .chain(own)
            .collect()
    }
}

/// The options of a platform in a directory, with an admin.
fn options(dir: &TempDir, contexts: &[Context]) -> Result<Options> {
    let command = flags::command(contexts).mut_args(|arg| arg.env(None::<&str>));
    let matches = command.try_get_matches_from([
        "berth",
        "--admin-email",
        &Person::Admin.email(),
        "--admin-password",
        PASSWORD,
        "--payment-webhook-secret",
        WEBHOOK_SECRET,
    ])?;
    let settings = contexts.iter().flat_map(|one| one.settings.clone());
    let settings: Vec<_> = settings.collect();
    let (_, settings) = usage::read::<Config>(&matches, &settings)?;
    Ok(Options {
        settings,
        ..Options::in_dir(dir.path())
    })
}

/// A room as its host describes it.
pub fn room_terms(room: &str, approval: &str) -> Value {
    json!({
        "room_id": room,
        "host_id": Person::Host.id(),
        "title": "A room",
        "description": "With a view",
        "unit": "UNIT_NIGHT",
        "max_persons": 2,
        "units": 3,
        "price": {"currency_code": "EUR", "units": "100"},
        "approval": approval,
        "cancellation_tiers": [{"hours_before": 24, "refund_percent": 50}],
        "blackouts": [dates("2031-01-01", "2031-01-08")],
        "time_zone": "Europe/Paris",
        "check_in_time": {"hours": 15},
        "check_out_time": {"hours": 11},
        "version": "1",
    })
}

/// A reservation of one night in June.
pub fn reservation(reservation: &str, room: &str, day: u32) -> Value {
    json!({
        "reservation_id": reservation,
        "offer_id": room,
        "customer_id": Person::Guest.id(),
        "period": period(day),
        "quantity": 1,
        "persons": 2,
        "payment_method": "tok_approved",
    })
}

/// One night in June.
pub fn period(day: u32) -> Value {
    json!({"dates": dates(&format!("2030-06-{day}"), &format!("2030-06-{}", day + 1))})
}

/// The guest's review of a stay.
pub fn review(reservation: &str) -> Value {
    json!({
        "reservation_id": reservation,
        "author_id": Person::Guest.id(),
        "rating": 4,
        "text": "Quiet",
        "version": "1",
    })
}

fn dates(start: &str, end: &str) -> Value {
    let date = |text: &str| {
        let mut parts = text.split('-').map(|part| part.parse::<i32>().unwrap_or(0));
        json!({"year": parts.next(), "month": parts.next(), "day": parts.next()})
    };
    json!({"start_date": date(start), "end_date": date(end)})
}

fn first_message(inbox: &DynamicMessage) -> Option<String> {
    let messages = inbox.get_field_by_name("messages")?;
    let first = messages.as_list()?.first()?.as_message()?;
    let id = first.get_field_by_name("message_id")?;
    Some(id.as_str()?.to_owned())
}
