//! The message context at work, between a reservation and a member context whose logs a test writes.

use std::sync::Arc;

use berth::{
    common::v1::Role,
    google::r#type::{Date, Money},
    member::v1::{Member, MemberJoined},
    message::v1::{
        ListMessagesRequest, MarkMessageReadRequest, Message,
        message_service_client::MessageServiceClient,
    },
    offer::v1::{DateRange, OfferKind, Period, period},
    reservation::v1::{Reservation, ReservationStatus},
};
use chassis::{
    Caller, Clock, MemberId, ReservationId,
    base::{clock::ManualClock, faults::Faults, time::SignedDuration},
    client::peers::Peers,
    messaging::{bus::Bus, in_process::InProcess, log_reader::LogReader},
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
};
use chassis_testing::{noon, open_store, settle, tape::Tape};
use prost::Name;
use tonic::{Request, Status};

pub(crate) const GUEST: MemberId = MemberId::from_u128(0xa1);
pub(crate) const HOST: MemberId = MemberId::from_u128(0xb2);

pub(crate) struct Stage {
    pub(crate) site: ContextRuntime,
    pub(crate) clock: ManualClock,
    pub(crate) reservations: Tape,
    pub(crate) members: Tape,
    bus: Arc<InProcess>,
    _dir: tempfile::TempDir,
}

impl Stage {
    /// Sets the stage, with a mail server or without (an empty URL).
    pub(crate) async fn set(smtp_url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(noon());
        let context = message::context();
        let store = open_store(
            &context,
            dir.path(),
            Clock::Manual(clock.clone()),
            Faults::default(),
        )
        .await
        .unwrap();
        let (reservations, members) = (Tape::of("reservation"), Tape::of("member"));
        let logs = [("reservation", &reservations), ("member", &members)];
        let logs = logs.map(|(name, tape)| {
            let log: Arc<dyn LogReader> = Arc::new(tape.clone());
            (name.to_owned(), log)
        });
        let bus = InProcess::new();
        let command = context
            .settings
            .iter()
            .fold(clap::Command::new("test"), |command, settings| {
                settings.augment(command)
            });
        let matches = command.get_matches_from(["test", "--smtp-url", smtp_url]);
        let around = Wiring {
            peers: Peers::new(),
            logs: Arc::new(logs.into()),
            bus: bus.clone(),
            settings: Settings::read(&context.settings, &matches).unwrap(),
        };
        Self {
            site: ContextRuntime::new(context, store, &around),
            clock,
            reservations,
            members,
            bus,
            _dir: dir,
        }
    }

    /// Something happens to a reservation.
    pub(crate) async fn happens<E: prost::Message + Name>(&self, actor: &str, event: &E) {
        let id = ReservationId::from_u128(7);
        self.reservations.record(id, self.clock.now(), actor, event);
        self.settle().await;
    }

    pub(crate) async fn joins(&self, member: MemberId, email: &str) {
        let member = Member {
            member_id: member.to_string(),
            email: email.into(),
            version: 1,
            ..Member::default()
        };
        let event = MemberJoined {
            member: Some(member.clone()),
        };
        self.members
            .record(&member.member_id, self.clock.now(), "", &event);
        self.settle().await;
    }

    pub(crate) async fn settle(&self) {
        let bus: &dyn Bus = self.bus.as_ref();
        self.reservations.announce(bus).await.unwrap();
        self.members.announce(bus).await.unwrap();
        settle(std::slice::from_ref(&self.site), 100).await.unwrap();
    }

    pub(crate) async fn after(&self, time: SignedDuration) {
        self.clock.turn(time);
        self.settle().await;
    }

    pub(crate) async fn list(
        &self,
        member: MemberId,
        request: ListMessagesRequest,
    ) -> Result<(Vec<Message>, String), Status> {
        let mut client =
            MessageServiceClient::new(self.site.context.make_routes(&self.site.deps).prepare());
        let page = client
            .list_messages(by(member, request))
            .await?
            .into_inner();
        Ok((page.messages, page.next_page_token))
    }

    /// Everything in somebody's inbox, newest first.
    pub(crate) async fn inbox(&self, member: MemberId) -> Vec<Message> {
        let request = ListMessagesRequest {
            page_size: 100,
            ..ListMessagesRequest::default()
        };
        self.list(member, request).await.unwrap().0
    }

    pub(crate) async fn read(&self, member: MemberId, message_id: &str) -> Result<Message, Status> {
        let mut client =
            MessageServiceClient::new(self.site.context.make_routes(&self.site.deps).prepare());
        let request = MarkMessageReadRequest {
            message_id: message_id.into(),
        };
        let answer = client.mark_message_read(by(member, request)).await?;
        Ok(answer.into_inner().message.unwrap())
    }

    /// How many events of a type the context has published.
    pub(crate) async fn published<E: Name>(&self) -> usize {
        let store = &self.site.deps.store;
        while store.number_events().await.unwrap() {}
        let log = store.log_after(0, 1000).await.unwrap();
        log.iter()
            .filter(|event| event.event_type == E::full_name())
            .count()
    }
}

fn by<T>(member: MemberId, request: T) -> Request<T> {
    let mut request = Request::new(request);
    let caller = Caller::person(member, &[Role::Customer, Role::Host]);
    request.extensions_mut().insert(caller);
    request
}

pub(crate) fn reservation(status: ReservationStatus) -> Reservation {
    let date = |day| {
        Some(Date {
            year: 2027,
            month: 3,
            day,
        })
    };
    Reservation {
        reservation_id: ReservationId::from_u128(7).to_string(),
        offer_id: MemberId::from_u128(3).to_string(),
        kind: OfferKind::Room.into(),
        title: "Sea view".into(),
        customer_id: GUEST.to_string(),
        host_id: HOST.to_string(),
        period: Some(Period {
            kind: Some(period::Kind::Dates(DateRange {
                start_date: date(4),
                end_date: date(6),
            })),
        }),
        quantity: 1,
        persons: 2,
        price: Some(Money {
            currency_code: "EUR".into(),
            units: 240,
            nanos: 0,
        }),
        status: status.into(),
        ..Reservation::default()
    }
}
