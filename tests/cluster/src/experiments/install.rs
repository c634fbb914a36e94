//! From nothing to the first booking, and the test of the chart.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth::{common::v1::Role, offer::v1::Approval, reservation::v1::ReservationStatus};
use campaigns::crowd::{id, night, register};
use stories::people::{Line, Person};

use crate::{
    Options,
    kubernetes::until,
    release::{FEW_RESERVATIONS, Release},
};

/// The time for an installation, on a busy machine.
const INSTALL: Duration = Duration::from_mins(5);

pub(super) async fn first_booking(release: &Release, _: &Options) -> Result<String> {
    release.prepare()?;
    let began = Instant::now();
    release.upgrade(&[FEW_RESERVATIONS])?;
    let installed = began.elapsed();
    let line = release.line()?;
    let mut last = None;
    until("the first booking", INSTALL, async || {
        last = book(&line).await.err();
        Ok(last.is_none())
    })
    .await
    .with_context(|| format!("{last:?}"))?;
    let booked = began.elapsed();
    release.rolled_out().await?;
    Ok(format!(
        "helm returned after {:.1} s, the first booking was confirmed after {:.1} s, all replicas were ready after {:.1} s",
        installed.as_secs_f64(),
        booked.as_secs_f64(),
        began.elapsed().as_secs_f64()
    ))
}

/// Joins, offers a room and books it.
async fn book(line: &Line) -> Result<()> {
    let person = Person::join(line, id(), &[Role::Host, Role::Customer]).await?;
    let room = register(&person, Approval::None).await?;
    let booked = person.book(person.wants(id(), &room, night(0))).await?;
    let status = booked.status();
    ensure!(status == ReservationStatus::Confirmed, "{status:?}");
    Ok(())
}

pub(super) async fn helm_test(release: &Release, _: &Options) -> Result<String> {
    release.upgrade(&[FEW_RESERVATIONS])?;
    release.rolled_out().await?;
    let log = release.test()?;
    let result = log.lines().rev().find(|line| line.contains("steps"));
    Ok(result.context("the demo reported no result")?.to_owned())
}
