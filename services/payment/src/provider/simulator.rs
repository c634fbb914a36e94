//! The simulated provider. The payment method determines its behaviour, see [`super::script`].

use chassis::{Money, Store, domain::event::Cause};

use super::{
    ledger::{Ask, ProviderLedger},
    port::{NoAnswer, Provider},
};
use crate::domain::{Method, Outcome, PaymentId};

/// A provider that behaves as the token determines.
#[derive(Debug)]
pub(super) struct Simulator {
    store: Store,
}

impl Simulator {
    /// A provider whose ledger is kept in a store.
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Records a request. Returns the ledger after it, unless the request is lost.
    async fn ask(&self, key: PaymentId, ask: Ask) -> Result<ProviderLedger, NoAnswer> {
        let cause = Cause::by("provider");
        let done = self.store.execute::<ProviderLedger>(key, ask, &cause).await;
        let done = done.map_err(|error| NoAnswer(error.to_string()))?;
        if done.events.iter().any(|asked| asked.lost) {
            return Err(NoAnswer("the provider is unavailable".into()));
        }
        Ok(done.now.state)
    }
}

#[tonic::async_trait]
impl Provider for Simulator {
    async fn charge(
        &self,
        key: PaymentId,
        amount: Money,
        method: &Method,
    ) -> Result<Outcome, NoAnswer> {
        let ask = Ask::Charge {
            amount,
            method: method.clone(),
            reference: format!("sim_{}", key.uuid().simple()),
        };
        let ledger = self.ask(key, ask).await?;
        let script = ledger.script();
        if ledger.requests == 1 {
            tokio::time::sleep(script.slow).await;
            if script.loses_answer {
                return Err(NoAnswer("the response was lost".into()));
            }
        }
        let undecided = || NoAnswer("no outcome".into());
        ledger.outcome.ok_or_else(undecided)
    }

    async fn query(&self, key: PaymentId) -> Result<Option<Outcome>, NoAnswer> {
        Ok(self.ask(key, Ask::Query).await?.outcome)
    }

    async fn refund(&self, key: PaymentId, refund: &str, amount: Money) -> Result<(), NoAnswer> {
        let ask = Ask::Refund {
            key: refund.to_owned(),
            amount,
        };
        let ledger = self.ask(key, ask).await?;
        if ledger.has_refunded(refund) {
            Ok(())
        } else {
            Err(NoAnswer("the refund exceeds what is left".into()))
        }
    }

    async fn void(&self, key: PaymentId) -> Result<(), NoAnswer> {
        self.ask(key, Ask::Void).await.map(|_| ())
    }
}
