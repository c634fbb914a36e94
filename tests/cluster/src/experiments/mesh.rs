//! The objects of the mesh, judged by a real API server.

use std::fs;

use anyhow::{Result, ensure};

use crate::{Options, release::Release};

pub(super) async fn accepted(release: &Release, options: &Options) -> Result<String> {
    let Some(dir) = &options.with_crds else {
        return Ok("not run: it needs --with-crds DIR".to_owned());
    };
    let kubernetes = &release.kubernetes;
    let mut definitions = 0;
    for file in fs::read_dir(dir)? {
        let file = file?.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            kubernetes.kubectl(&[
                "apply",
                "--server-side",
                "--filename",
                &file.display().to_string(),
            ])?;
            definitions += 1;
        }
    }
    let established = [
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=1m",
    ];
    kubernetes.kubectl(&established)?;
    let objects = release.template(&["mesh.enabled=true"])?;
    let file = objects.display().to_string();
    let accepted = kubernetes.kubectl(&["apply", "--dry-run=server", "--filename", &file])?;
    let of_the_mesh = accepted
        .lines()
        .filter(|line| line.contains("linkerd.io/") || line.contains("gateway.networking.k8s.io/"));
    let of_the_mesh = of_the_mesh.count();
    ensure!(of_the_mesh > 0, "no object of the mesh: {accepted}");
    Ok(format!(
        "with {definitions} definitions the API server accepts all {} objects, {of_the_mesh} of the mesh",
        accepted.lines().count()
    ))
}
