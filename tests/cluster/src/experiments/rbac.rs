//! What service accounts and pods may not do.

use anyhow::{Context, Result, ensure};

use crate::{
    Options,
    kubernetes::NAMESPACE,
    release::{ALL, Release},
};

/// Verbs and resources that no service needs.
const NEEDLESS: [(&str, &str); 5] = [
    ("get", "secrets"),
    ("list", "pods"),
    ("create", "pods"),
    ("get", "configmaps"),
    ("patch", "deployments.apps"),
];

pub(super) async fn denied(release: &Release, _: &Options) -> Result<String> {
    let kubernetes = &release.kubernetes;
    let accounts = kubernetes.objects("serviceaccounts", ALL)?;
    ensure!(!accounts.is_empty(), "no service accounts");
    let mut denied = 0;
    for account in &accounts {
        let name = account["metadata"]["name"].as_str().context("no name")?;
        let user = format!("--as=system:serviceaccount:{NAMESPACE}:{name}");
        for (verb, resource) in NEEDLESS {
            // It prints `no` and fails.
            kubernetes.refused(&["auth", "can-i", verb, resource, &user])?;
            denied += 1;
        }
        let token = kubernetes.kubectl(&["create", "token", name])?;
        let token = format!("--token={}", token.trim());
        let refused = kubernetes.as_bearer(&token, &["get", "secrets"])?;
        ensure!(refused.contains("Forbidden"), "{name}: {refused}");
    }
    for pod in kubernetes.objects("pods", ALL)? {
        let mounts = pod["spec"]["volumes"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let tokens = mounts.iter().any(|volume| {
            let sources = volume["projected"]["sources"].as_array();
            sources.is_some_and(|sources| {
                sources
                    .iter()
                    .any(|it| !it["serviceAccountToken"].is_null())
            })
        });
        ensure!(!tokens, "{} has a token", pod["metadata"]["name"]);
    }
    let privileged = [
        "run",
        "privileged",
        "--image=localhost/pause:1",
        "--privileged",
    ];
    let refused = kubernetes.refused(&privileged)?;
    ensure!(refused.contains("violates PodSecurity"), "{refused}");
    Ok(format!(
        "{} service accounts: {denied} questions answered with no, requests with their tokens are Forbidden, no pod has a token; \
         a privileged pod is refused",
        accounts.len()
    ))
}
