//! Where lost events may still be.

use std::sync::Arc;

use chassis::{
    domain::{event::Recorded, log_id::LogId},
    messaging::{bus::Bus, log_reader::LogReader},
};

use crate::error::RecoverError;

/// The most events that are read at once.
const PAGE: i64 = 500;

/// A source of lost events.
#[derive(Clone, Debug)]
pub enum Source {
    /// Another copy of the log that goes further.
    Log(Arc<dyn LogReader>),
    /// The bus.
    Bus(Arc<dyn Bus>),
}

impl Source {
    /// Its events of a context after a sequence number.
    pub(crate) async fn read(
        &self,
        context: &str,
        from: i64,
    ) -> Result<Vec<Recorded>, RecoverError> {
        match self {
            Self::Bus(bus) => Ok(bus.read_back(&LogId::of(context), from, i64::MAX).await?),
            Self::Log(log) => {
                let mut events: Vec<Recorded> = Vec::new();
                loop {
                    let after = events.last().map_or(from, |last| last.seq);
                    let page = log.read(after, PAGE).await?;
                    if page.is_empty() {
                        return Ok(events);
                    }
                    events.extend(page);
                }
            }
        }
    }
}
