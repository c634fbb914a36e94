//! Whatever happens in whatever order: charged at most once, no more refunded than paid, and a ledger that adds up.

use berth::payment::v1::PaymentStatus;
use chassis::base::time::SignedDuration;
use proptest::prelude::*;

use crate::{
    bench::{Bench, payment},
    notifications::{notification, send},
};

/// Something that can happen to a payment.
#[derive(Clone, Debug)]
enum Step {
    Charge,
    Approve,
    Cancel(i64),
    Miss,
    Notify(&'static str),
    Work,
    Wait(i64),
    Restart,
    Fail(&'static str, u32),
}

/// Where it can fail.
const POINTS: &[&str] = &[
    "payment.before_intent",
    "payment.after_intent",
    "payment.after_provider",
    "payment.after_result",
    "store.commit",
    "store.answer",
    "consumer.payment",
];

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop::sample::select(vec!["charged", "refunded"]);
    let point = prop::sample::select(POINTS.to_vec());
    prop_oneof![
        4 => Just(Step::Charge),
        2 => Just(Step::Approve),
        2 => (1_i64..12_000).prop_map(Step::Cancel),
        1 => Just(Step::Miss),
        2 => outcome.prop_map(Step::Notify),
        4 => Just(Step::Work),
        3 => (1_i64..100_000).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        3 => (point, 1_u32..3).prop_map(|(point, times)| Step::Fail(point, times)),
    ]
}

fn method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "tok_approved",
        "tok_declined",
        "tok_timeout_after",
        "tok_timeout_before",
        "tok_down_3",
        "tok_down_40",
        "tok_refund_fails_twice",
    ])
}

fn mend(bench: &Bench) {
    for point in POINTS {
        bench.faults.disarm(point);
    }
}

async fn take(bench: &mut Bench, method: &'static str, step: Step) {
    let id = payment(1);
    // What fails here fails as it would for a caller or a worker: somebody asks again.
    match step {
        Step::Charge => drop(bench.charge(id, method).await),
        Step::Approve => bench.publish_approved(id, method).await,
        Step::Cancel(minor) => bench.publish_cancelled(id, minor).await,
        Step::Miss => bench.publish_missed(id).await,
        Step::Notify(outcome) => {
            // A provider does not report a charge that it has not made.
            if outcome != "charged" || bench.provider_ledger(id).await.charges.len() == 1 {
                drop(send(bench, notification(id, outcome)).await);
            }
        }
        Step::Work => drop(bench.site.step().await),
        Step::Wait(seconds) => bench.clock.turn(SignedDuration::from_secs(seconds)),
        Step::Restart => {
            mend(bench);
            bench.restart().await;
        }
        Step::Fail(point, times) => bench.faults.arm(point, times),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_ledgers_agree(method in method(), steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new().await;
            for step in steps {
                take(&mut bench, method, step).await;
                bench.check(payment(1), false).await;
            }
            mend(&bench);
            bench.rest().await;
            bench.check(payment(1), true).await;
            // A repeated call returns the outcome and has no effect.
            if let Ok(ended) = bench.get(payment(1)).await {
                let again = bench.charge(payment(1), method).await.unwrap();
                prop_assert_eq!(&again, &ended);
                prop_assert_ne!(again.status(), PaymentStatus::Pending);
            }
            Ok(())
        })?;
    }
}
