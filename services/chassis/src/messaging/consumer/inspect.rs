//! How a consumer is, for whoever operates the platform.

use std::{fmt, sync::atomic::Ordering};

use berth::inspection::v1 as inspection;

use crate::base::time::to_proto;
use crate::messaging::consumer::Consumer;

impl Consumer {
    /// How it is, for whoever operates the platform, with its cursor if that is known.
    pub(crate) fn inspect(&self, cursor: Option<i64>) -> inspection::Consumer {
        let inner = &self.0;
        let heard = inner.heard.load(Ordering::Relaxed);
        let failure = inner.track.failure();
        inspection::Consumer {
            consumer: inner.name.clone(),
            producer: inner.producer.to_string(),
            cursor,
            heard_head: heard,
            lag: cursor.map_or(0, |cursor| heard.saturating_sub(cursor).max(0)),
            last_move_time: inner.track.success().map(to_proto),
            last_error_time: failure.as_ref().map(|(at, _)| to_proto(*at)),
            last_error: failure.map(|(_, why)| why).unwrap_or_default(),
            gap: inner.gap.load(Ordering::Relaxed),
        }
    }

    /// Notes why a step failed.
    pub(crate) fn fails(&self, why: &dyn fmt::Display) {
        self.0.track.record_failure(self.0.store.clock().now(), why);
    }
}
