//! The databases of all contexts are lost, and restored from a backup, as docs/deploying.md describes it.

use std::time::Duration;

use anyhow::{Result, ensure};
use campaigns::crowd::Crowd;

use crate::{
    Options,
    kubernetes::until,
    release::{ALL, Release},
};

const TIMEOUT: Duration = Duration::from_mins(2);
const BOOKINGS: usize = 20;

pub(super) async fn restored(release: &Release, _: &Options) -> Result<String> {
    let kubernetes = &release.kubernetes;
    let crowd = release.crowd(2 * BOOKINGS).await?;
    for _ in 0..BOOKINGS {
        crowd.book().await?;
    }
    release.upgrade(&["backup.enabled=true"])?;
    let job = |name: &str, from: &str| {
        kubernetes.kubectl(&["create", "job", name, "--from", from])?;
        let job = format!("job/{name}");
        kubernetes.kubectl(&["wait", "--for=condition=complete", &job, "--timeout=2m"])
    };
    job("backup-now", "cronjob/berth-backup")?;
    // These are lost with the database, and NATS has their events.
    let newer = Crowd::gather(release.line()?, BOOKINGS).await?;
    for _ in 0..BOOKINGS {
        newer.book().await?;
    }
    let scale = |what: &[&str], replicas: &str| {
        kubernetes.kubectl(&[&["scale"][..], what, &[replicas]].concat())
    };
    let services = ["deployment", "--selector", ALL];
    scale(&services, "--replicas=0")?;
    scale(&["statefulset/berth-nats"], "--replicas=0")?;
    until("no processes", TIMEOUT, async || {
        Ok(release.pods()?.is_empty() && kubernetes.pods("nats")?.is_empty())
    })
    .await?;
    kubernetes.kubectl(&["delete", "pvc", "data-berth-nats-0"])?;
    let in_postgres = |command: &[&str]| {
        let exec = ["exec", "berth-postgres-0", "--"];
        kubernetes.kubectl(&[&exec[..], command].concat())
    };
    let local = [
        "--host=127.0.0.1",
        "--username=berth",
        "--maintenance-db=postgres",
        "berth",
    ];
    let with_password = |program: &str| {
        let command = format!(
            "PGPASSWORD=$POSTGRES_PASSWORD exec {program} {}",
            local.join(" ")
        );
        in_postgres(&["sh", "-c", &command])
    };
    with_password("dropdb --force")?;
    with_password("createdb")?;
    job("restore-now", "cronjob/berth-restore")?;
    scale(&["statefulset/berth-nats"], "--replicas=1")?;
    scale(&services, "--replicas=2")?;
    release.rolled_out().await?;
    let found = crowd.find_booked().await?;
    ensure!(
        newer.find_booked().await.is_err(),
        "the database was not lost"
    );
    for _ in 0..BOOKINGS {
        crowd.book().await?;
    }
    Ok(format!(
        "the database was dropped; all {found} bookings of the backup are back, and {BOOKINGS} more were made"
    ))
}
