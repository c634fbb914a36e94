//! The gRPC service: one short method for each rpc.

use std::time::Duration;

use berth::payment::v1::{
    Balance, ChargePaymentRequest, ChargePaymentResponse, GetLedgerRequest, GetLedgerResponse,
    GetPaymentRequest, GetPaymentResponse, LedgerEntry, ListPaymentsRequest, ListPaymentsResponse,
    ReceiveNotificationRequest, ReceiveNotificationResponse,
    payment_service_server::{PaymentService, PaymentServiceServer},
};
use chassis::{
    Deps, Kind, accept,
    base::{page, time, time::SignedDuration},
    error::status::{internal, not_found, status},
    store::ExecuteError,
};
use secrecy::ExposeSecret;
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    codec,
    domain::{Command, Payment, Refusal, Stage},
    jobs,
    provider::signature,
    settings::Settings,
    views::{self, Whose},
};

/// How long after the provider's timeout the job takes over a charge from its caller.
const GRACE: Duration = Duration::from_secs(1);

/// The routes of this context.
pub(crate) fn routes(deps: &Deps) -> Routes {
    Routes::new(PaymentServiceServer::new(Api { deps: deps.clone() }))
}

#[derive(Debug)]
struct Api {
    deps: Deps,
}

#[tonic::async_trait]
impl PaymentService for Api {
    async fn charge_payment(
        &self,
        request: Request<ChargePaymentRequest>,
    ) -> Result<Response<ChargePaymentResponse>, Status> {
        let (caller, request) = accept(request);
        let timeout = self.deps.settings::<Settings>().provider_timeout();
        let timeout = caller.timeout_within(timeout);
        let lead = SignedDuration::try_from(timeout + GRACE).unwrap_or(SignedDuration::ZERO);
        let (id, command) = codec::charge(request, lead)?;
        self.deps
            .faults
            .pass("payment.before_intent")
            .map_err(jobs::crashed)?;
        let cause = caller.cause();
        let done = self.deps.store.execute::<Payment>(id, command, &cause);
        let mut payment = done.await?.now;
        let stage = payment.state.requested().map(|payment| &payment.stage);
        if matches!(stage, Some(Stage::Pending(_)))
            && let Some(task) = payment.state.task(self.deps.clock.now())
        {
            payment = jobs::perform(&self.deps, id, task, timeout, &cause).await?;
        }
        let (_, payment) = codec::shown(id, &payment)
            .ok_or_else(|| internal(&"a requested payment has no request"))?;
        Ok(Response::new(ChargePaymentResponse {
            payment: Some(payment),
        }))
    }

    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<GetPaymentResponse>, Status> {
        let (caller, request) = accept(request);
        let id = codec::payment_id(&request.payment_id)?;
        let stored = self.deps.store.load::<Payment>(id).await?;
        let (owner, payment) = stored
            .and_then(|stored| codec::shown(id, &stored))
            .ok_or_else(|| not_found("payment"))?;
        caller.require_visible(&[owner], "payment")?;
        Ok(Response::new(GetPaymentResponse {
            payment: Some(payment),
        }))
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let (caller, request) = accept(request);
        let whose = if caller.is_admin() {
            Whose::All
        } else {
            Whose::Member(caller.member()?)
        };
        let (after, size) = codec::page(&request)?;
        let store = &self.deps.store;
        let positions = store
            .read(move |conn| Box::pin(views::payments(conn, whose, after, size + 1)))
            .await?;
        let (positions, next_page_token) = page::cut(positions, size, codec::token);
        let ids = positions.iter().map(|(_, id)| *id).collect();
        let stored = store.load_all::<Payment>(ids).await?;
        let shown = stored
            .iter()
            .filter_map(|(id, stored)| codec::shown(*id, stored));
        Ok(Response::new(ListPaymentsResponse {
            payments: shown.map(|(_, payment)| payment).collect(),
            next_page_token,
        }))
    }

    async fn get_ledger(
        &self,
        request: Request<GetLedgerRequest>,
    ) -> Result<Response<GetLedgerResponse>, Status> {
        let (_, request) = accept(request);
        let of = codec::optional_payment_id(&request.payment_id)?;
        let (balances, entries) = self
            .deps
            .store
            .read(move |conn| {
                Box::pin(async move {
                    let entries = match of {
                        Some(id) => views::entries(conn, id).await?,
                        None => Vec::new(),
                    };
                    Ok((views::balances(conn).await?, entries))
                })
            })
            .await?;
        let balances = balances.into_iter().map(|(account_kind, amount)| Balance {
            account_kind,
            amount: Some(amount.into()),
        });
        let entries = entries.into_iter().map(|entry| LedgerEntry {
            payment_id: request.payment_id.clone(),
            account: entry.account,
            amount: Some(entry.amount.into()),
            time: Some(time::to_proto(entry.at)),
        });
        Ok(Response::new(GetLedgerResponse {
            balances: balances.collect(),
            entries: entries.collect(),
        }))
    }

    async fn receive_notification(
        &self,
        request: Request<ReceiveNotificationRequest>,
    ) -> Result<Response<ReceiveNotificationResponse>, Status> {
        let (caller, request) = accept(request);
        let settings = self.deps.settings::<Settings>();
        let secret = settings.webhook_secret.as_ref();
        let secret = secret.filter(|secret| !secret.expose_secret().is_empty());
        if !secret.is_some_and(|secret| signature::is_right(&request, secret)) {
            let reason = "SIGNATURE_INVALID";
            return Err(status(
                Kind::Unauthenticated,
                reason,
                "the signature is wrong",
            ));
        }
        let (id, notice) = codec::notice(request)?;
        let cause = chassis::domain::event::Cause {
            actor: "provider".into(),
            ..caller.cause()
        };
        let command = Command::Notify(notice.clone());
        match self
            .deps
            .store
            .execute::<Payment>(id, command, &cause)
            .await
        {
            Ok(done) => {
                if done.now.state.contradicts(&notice) {
                    tracing::error!(payment.id = %id, "the provider reports the opposite outcome, ignored");
                }
            }
            // A refund of a payment that does not exist contains nothing to keep.
            Err(ExecuteError::Refused(Refusal::Unknown)) => {
                tracing::warn!(payment.id = %id, "refund reported for an unknown payment");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Response::new(ReceiveNotificationResponse {}))
    }
}
