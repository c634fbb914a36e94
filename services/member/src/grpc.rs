//! The gRPC service: one short method for each rpc.

use berth::member::v1::{
    ChangePasswordRequest, ChangePasswordResponse, GetJsonWebKeysRequest, GetJsonWebKeysResponse,
    GetMemberRequest, GetMemberResponse, GetTrustRequest, GetTrustResponse, JoinRequest,
    JoinResponse, JsonWebKey, RefreshTokensRequest, RefreshTokensResponse, RevokedMember,
    RotateKeysRequest, RotateKeysResponse, SetRolesRequest, SetRolesResponse, SignInRequest,
    SignInResponse, SignOutRequest, SignOutResponse, SuspendMemberRequest, SuspendMemberResponse,
    member_service_server::{MemberService, MemberServiceServer},
};
use chassis::{
    Caller, Deps, MemberId, StoreError, Timestamp, Versioned, accept, base::time,
    error::status::not_found,
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    authentication::{Authentication, session_of, signing_keys::Signer},
    codec,
    domain::{
        account::{Account, Command},
        key_ring::KeyRing,
        revocation,
        source::Source,
        values::SessionId,
    },
};

pub(crate) fn routes(deps: &Deps, signer: &Signer) -> Routes {
    Routes::new(MemberServiceServer::new(Api {
        deps: deps.clone(),
        signer: signer.clone(),
        authentication: Authentication::new(deps.clone(), signer.clone()),
    }))
}

/// Where a request comes from.
fn source_of<T>(request: &Request<T>) -> Source {
    let source = request.extensions().get::<chassis::Source>();
    source.map_or_else(Source::default, |source| Source::named(&source.to_string()))
}

struct Api {
    deps: Deps,
    signer: Signer,
    authentication: Authentication,
}

impl Api {
    async fn keys(&self) -> Result<Vec<JsonWebKey>, Status> {
        let ring = self.signer.ring(&self.deps).await?;
        Ok(self.trusted(&ring))
    }

    fn trusted(&self, ring: &KeyRing) -> Vec<JsonWebKey> {
        codec::key_ring::to_proto(ring.trusted(self.deps.clock.now()))
    }

    /// Executes a command on an account.
    async fn execute(
        &self,
        id: MemberId,
        command: Command,
        caller: &Caller,
    ) -> Result<Versioned<Account>, Status> {
        let store = &self.deps.store;
        Ok(store.execute(id, command, &caller.cause()).await?.now)
    }

    /// The revocations that may concern a valid access token.
    async fn revoked<I: std::str::FromStr>(
        &self,
        scope: &str,
    ) -> Result<Vec<(Timestamp, I)>, StoreError> {
        let now = self.deps.clock.now();
        let since = now.saturating_sub(revocation::RETENTION).unwrap_or(now);
        let keys = self
            .deps
            .store
            .taken(revocation::since(scope, since))
            .await?;
        Ok(keys
            .iter()
            .filter_map(|key| revocation::read(key))
            .collect())
    }
}

#[tonic::async_trait]
impl MemberService for Api {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let source = source_of(&request);
        let (caller, request) = accept(request);
        let details = codec::account::join(request)?;
        let account = self
            .authentication
            .join(&details, source, &caller.cause())
            .await?;
        let member = Some(codec::account::to_proto(&account));
        Ok(Response::new(JoinResponse { member }))
    }

    async fn get_member(
        &self,
        request: Request<GetMemberRequest>,
    ) -> Result<Response<GetMemberResponse>, Status> {
        let (caller, request) = accept(request);
        let id = codec::account::member_id(&request.member_id)?;
        caller.require_visible(&[id], "member")?;
        let account = self.deps.store.load::<Account>(id).await?;
        let member = Some(codec::account::to_proto(
            &account.ok_or_else(|| not_found("member"))?,
        ));
        Ok(Response::new(GetMemberResponse { member }))
    }

    async fn set_roles(
        &self,
        request: Request<SetRolesRequest>,
    ) -> Result<Response<SetRolesResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, roles) = codec::account::set_roles(&request)?;
        let command = Command::SetRoles(roles);
        let account = self.execute(id, command, &caller).await?;
        let member = Some(codec::account::to_proto(&account));
        Ok(Response::new(SetRolesResponse { member }))
    }

    async fn suspend_member(
        &self,
        request: Request<SuspendMemberRequest>,
    ) -> Result<Response<SuspendMemberResponse>, Status> {
        let (caller, request) = accept(request);
        let id = codec::account::member_id(&request.member_id)?;
        let command = Command::Suspend(request.suspended);
        let account = self.execute(id, command, &caller).await?;
        let member = Some(codec::account::to_proto(&account));
        Ok(Response::new(SuspendMemberResponse { member }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let source = source_of(&request);
        let (caller, request) = accept(request);
        let (id, old, new) = codec::account::change_password(&request)?;
        caller.require_visible(&[id], "member")?;
        // The session of the caller continues, unless the caller is an ADMIN who changes another member's password.
        let is_own = caller.member.is_some_and(|member| member == id);
        let keep = caller.token.as_deref().and_then(session_of);
        let keep = keep.filter(|_| is_own);
        self.authentication
            .change_password(id, (old, new), keep, source, &caller.cause())
            .await?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn sign_in(
        &self,
        request: Request<SignInRequest>,
    ) -> Result<Response<SignInResponse>, Status> {
        let source = source_of(&request);
        let (caller, request) = accept(request);
        let (email, password) = codec::session::sign_in(&request)?;
        let (tokens, account) = self
            .authentication
            .sign_in(&email, password, source, &caller.cause())
            .await?;
        Ok(Response::new(SignInResponse {
            tokens: Some(tokens),
            member: Some(codec::account::to_proto(&account)),
        }))
    }

    async fn refresh_tokens(
        &self,
        request: Request<RefreshTokensRequest>,
    ) -> Result<Response<RefreshTokensResponse>, Status> {
        let (caller, request) = accept(request);
        let presented = codec::session::refresh_token(&request)?;
        let tokens = Some(
            self.authentication
                .refresh(&presented, &caller.cause())
                .await?,
        );
        Ok(Response::new(RefreshTokensResponse { tokens }))
    }

    async fn sign_out(
        &self,
        request: Request<SignOutRequest>,
    ) -> Result<Response<SignOutResponse>, Status> {
        let (caller, request) = accept(request);
        // A malformed token has no session to end.
        if let Ok(presented) = request.refresh_token.parse() {
            self.authentication
                .sign_out(&presented, &caller.cause())
                .await?;
        }
        Ok(Response::new(SignOutResponse {}))
    }

    async fn get_json_web_keys(
        &self,
        _: Request<GetJsonWebKeysRequest>,
    ) -> Result<Response<GetJsonWebKeysResponse>, Status> {
        let keys = self.keys().await?;
        Ok(Response::new(GetJsonWebKeysResponse { keys }))
    }

    async fn rotate_keys(
        &self,
        request: Request<RotateKeysRequest>,
    ) -> Result<Response<RotateKeysResponse>, Status> {
        let (caller, request) = accept(request);
        let rotation = codec::key_ring::rotate(&request)?;
        let cause = caller.cause();
        let ring = self.signer.rotate(&self.deps, rotation, &cause).await?;
        let keys = self.trusted(&ring);
        Ok(Response::new(RotateKeysResponse { keys }))
    }

    async fn get_trust(
        &self,
        _: Request<GetTrustRequest>,
    ) -> Result<Response<GetTrustResponse>, Status> {
        let keys = self.keys().await?;
        let sessions = self.revoked::<SessionId>(revocation::SESSIONS).await?;
        let members = self.revoked::<MemberId>(revocation::MEMBERS).await?;
        let members = members.into_iter().map(|(from, id)| RevokedMember {
            member_id: id.to_string(),
            issued_before: Some(time::to_proto(from)),
        });
        Ok(Response::new(GetTrustResponse {
            keys,
            revoked_sessions: sessions.iter().map(|(_, id)| id.to_string()).collect(),
            revoked_members: members.collect(),
        }))
    }
}
