//! A setting of one service changes.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::{
    Options,
    release::{FEW_RESERVATIONS, Release},
};

pub(super) async fn one_service(release: &Release, _: &Options) -> Result<String> {
    release.upgrade(&[FEW_RESERVATIONS])?;
    release.rolled_out().await?;
    let before = release.pods()?;
    release.upgrade(&[])?;
    let took = release.rolled_out().await?;
    let after = release.pods()?;
    let kept = |uid: &str| before.iter().any(|(_, pod)| pod.uid == uid);
    let replaced = after.iter().filter(|(_, pod)| !kept(&pod.uid));
    let replaced: BTreeSet<_> = replaced.map(|(context, _)| *context).collect();
    ensure!(
        replaced == BTreeSet::from(["reservation"]),
        "replaced: {replaced:?}"
    );
    ensure!(
        after
            .iter()
            .filter(|(context, _)| *context == "reservation")
            .all(|(_, pod)| !kept(&pod.uid)),
        "a pod kept the old setting"
    );
    Ok(format!(
        "the 2 pods of reservation were replaced in {:.0} s, the other {} stayed",
        took.as_secs_f64(),
        after.len() - 2
    ))
}
