//! A member context with its own SQLite store and a manual clock.

use std::{net::IpAddr, sync::Arc, time::Duration};

use berth::{
    common::v1::Role,
    member::v1::{
        ChangePasswordRequest, GetTrustRequest, GetTrustResponse, JoinRequest, Member,
        RefreshTokensRequest, SignInRequest, SignInResponse, SignOutRequest, Tokens,
        member_service_client::MemberServiceClient,
    },
};
use chassis::{
    Caller, MemberId, Source,
    base::{
        clock::{Clock, ManualClock},
        faults::Faults,
        time::SignedDuration,
    },
    client::peers::Peers,
    error::status::reason_of,
    messaging::in_process::InProcess,
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
};
use chassis_testing::{noon, open_store};
use clap::Command;
use tonic::{Code, Request, Status, service::Routes};
use tonic_types::StatusExt;

pub(crate) const ANN: MemberId = MemberId::from_u128(1);
pub(crate) const BOB: MemberId = MemberId::from_u128(2);
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Fixture {
    pub(crate) runtime: ContextRuntime,
    pub(crate) clock: ManualClock,
    pub(crate) client: MemberServiceClient<Routes>,
    _dir: tempfile::TempDir,
}

/// A context with the default settings.
pub(crate) async fn fixture() -> Fixture {
    fixture_with(&[]).await
}

/// A context with some flags.
pub(crate) async fn fixture_with(flags: &[&str]) -> Fixture {
    let context = member::context();
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(noon());
    let store = open_store(
        &context,
        dir.path(),
        Clock::Manual(clock.clone()),
        Faults::default(),
    );
    let command = (context.settings.iter()).fold(Command::new("member"), |command, settings| {
        settings.augment(command)
    });
    let matches = command.get_matches_from(std::iter::once(&"member").chain(flags));
    let wiring = Wiring {
        peers: Peers::new(),
        logs: Arc::default(),
        bus: InProcess::new(),
        settings: Settings::read(&context.settings, &matches).unwrap(),
    };
    let store = store.await.unwrap();
    let runtime = ContextRuntime::new(context, store, &wiring);
    Fixture {
        client: MemberServiceClient::new(runtime.context.make_routes(&runtime.deps).prepare()),
        runtime,
        clock,
        _dir: dir,
    }
}

/// A request of a caller.
pub(crate) fn by<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

pub(crate) fn admin() -> Caller {
    Caller::person(MemberId::from_u128(99), &[Role::Admin])
}

/// Code and reason of an error.
pub(crate) fn refusal(status: &Status) -> (Code, String) {
    (status.code(), reason_of(status).unwrap_or_default())
}

/// The delay of the error's `RetryInfo`.
pub(crate) fn delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

pub(crate) fn ann() -> JoinRequest {
    JoinRequest {
        member_id: ANN.to_string(),
        email: "Ann@Example.org".into(),
        display_name: "Ann".into(),
        password: PASSWORD.into(),
        roles: vec![],
    }
}

pub(crate) fn bob() -> JoinRequest {
    JoinRequest {
        member_id: BOB.to_string(),
        email: "bob@example.org".into(),
        display_name: "Bob".into(),
        roles: vec![Role::Host.into(), Role::Customer.into()],
        ..ann()
    }
}

impl Fixture {
    pub(crate) fn advance(&self, by: SignedDuration) {
        self.clock.turn(by);
    }

    pub(crate) async fn join(&self, request: JoinRequest) -> Result<Member, Status> {
        let joined = self.client.clone().join(request).await?;
        Ok(joined.into_inner().member.unwrap())
    }

    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: &str,
    ) -> Result<SignInResponse, Status> {
        let (email, password) = (email.into(), password.into());
        let request = SignInRequest { email, password };
        Ok(self.client.clone().sign_in(request).await?.into_inner())
    }

    /// Signs in from an address.
    pub(crate) async fn sign_in_from(
        &self,
        address: IpAddr,
        email: &str,
        password: &str,
    ) -> Result<SignInResponse, Status> {
        let (email, password) = (email.into(), password.into());
        let mut request = Request::new(SignInRequest { email, password });
        request.extensions_mut().insert(Source::from(address));
        Ok(self.client.clone().sign_in(request).await?.into_inner())
    }

    /// The context as after a restart: with the same store, and nothing else.
    pub(crate) fn restart(&mut self) {
        let routes = self.runtime.context.make_routes(&self.runtime.deps);
        self.client = MemberServiceClient::new(routes.prepare());
    }

    /// Signs in as Ann.
    pub(crate) async fn ann_signs_in(&self) -> Tokens {
        let signed_in = self.sign_in("ann@example.org", PASSWORD).await.unwrap();
        signed_in.tokens.unwrap()
    }

    pub(crate) async fn refresh(&self, tokens: &Tokens) -> Result<Tokens, Status> {
        let refresh_token = tokens.refresh_token.clone();
        let request = RefreshTokensRequest { refresh_token };
        let refreshed = self.client.clone().refresh_tokens(request).await?;
        Ok(refreshed.into_inner().tokens.unwrap())
    }

    pub(crate) async fn sign_out(&self, refresh_token: String) {
        let request = SignOutRequest { refresh_token };
        self.client.clone().sign_out(request).await.unwrap();
    }

    pub(crate) async fn change_password(
        &self,
        tokens: &Tokens,
        old: &str,
        new: &str,
    ) -> Result<(), Status> {
        let caller = Caller {
            token: Some(tokens.access_token.clone()),
            ..Caller::person(ANN, &[Role::Customer])
        };
        let request = ChangePasswordRequest {
            member_id: ANN.to_string(),
            old_password: old.into(),
            new_password: new.into(),
        };
        let mut client = self.client.clone();
        client.change_password(by(caller, request)).await?;
        Ok(())
    }

    /// Another replica on the same store.
    pub(crate) fn twin(&self) -> MemberServiceClient<Routes> {
        let routes = member::context().make_routes(&self.runtime.deps);
        MemberServiceClient::new(routes.prepare())
    }

    /// All states, claims and events as text.
    pub(crate) async fn stored(&self) -> String {
        let store = &self.runtime.deps.store;
        let claims = store.claims().await.unwrap();
        let events = store.log_after(0, 1000).await.unwrap();
        let states = store.read(|conn| {
            Box::pin(async {
                let rows = conn.query("SELECT state FROM aggregate", vec![]).await?;
                Ok(format!("{rows:?}"))
            })
        });
        format!("{claims:?} {events:?} {}", states.await.unwrap())
    }

    pub(crate) async fn trust(&self) -> GetTrustResponse {
        let request = by(Caller::service("room"), GetTrustRequest {});
        self.client
            .clone()
            .get_trust(request)
            .await
            .unwrap()
            .into_inner()
    }
}
