//! The simulated provider: what it does is told by the payment method, see [`super::script`].

use chassis::{Money, Store, domain::event::Cause};

use super::{
    NoAnswer, Provider,
    ledger::{Ask, ProviderLedger},
};
use crate::domain::{Method, Outcome, PaymentId};

/// A provider that plays by the token.
#[derive(Debug)]
pub(super) struct Simulator {
    store: Store,
}

impl Simulator {
    /// A provider whose ledger are kept in a store.
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Asks; answers the ledger if the request was heard.
    async fn ask(&self, key: PaymentId, ask: Ask) -> Result<ProviderLedger, NoAnswer> {
        let cause = Cause::by("provider");
        let done = self.store.execute::<ProviderLedger>(key, ask, &cause).await;
        let done = done.map_err(|error| NoAnswer(error.to_string()))?;
        if done.events.iter().any(|asked| asked.lost) {
            return Err(NoAnswer("the provider is down".into()));
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
                return Err(NoAnswer("the answer was lost".into()));
            }
        }
        let undecided = || NoAnswer("nothing was decided".into());
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
            Err(NoAnswer("so much is not left".into()))
        }
    }

    async fn void(&self, key: PaymentId) -> Result<(), NoAnswer> {
        self.ask(key, Ask::Void).await.map(|_| ())
    }
}
