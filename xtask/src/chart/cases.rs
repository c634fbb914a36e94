//! Installations of the chart that must work, and values that must be refused.

/// A way to install the chart: a name, a file of values (none for those of the chart), and further values.
pub(super) type Installation = (&'static str, Option<&'static str>, &'static [&'static str]);

/// Installations that must work: every file of values, and every switch.
pub(super) const INSTALLATIONS: &[Installation] = &[
    ("default", None, &[]),
    ("default-mesh", None, &["mesh.enabled=true"]),
    ("default-backup", None, &["backup.enabled=true"]),
    (
        "default-public",
        None,
        &[
            "allInOne.publicService.type=LoadBalancer",
            "allInOne.publicService.port=8080",
        ],
    ),
    ("dev", Some("values-dev.yaml"), &[]),
    ("dev-mesh", Some("values-dev.yaml"), &["mesh.enabled=true"]),
    (
        "dev-monitoring",
        Some("values-dev.yaml"),
        &["monitoring.enabled=true"],
    ),
    (
        "dev-sqlite",
        Some("values-dev.yaml"),
        &["services.view.storage.size=1Gi"],
    ),
    (
        "dev-shared-volume",
        Some("values-dev.yaml"),
        &[
            "services.room.sharedVolume.size=6Ki",
            "services.room.sharedVolume.mountPath=/mnt/shared",
        ],
    ),
    (
        "dev-open",
        Some("values-dev.yaml"),
        &["networkPolicy.enabled=false"],
    ),
    (
        "dev-private",
        Some("values-dev.yaml"),
        &["services.view.public=false"],
    ),
    ("prod", Some("values-prod.yaml"), &[]),
    (
        "prod-no-mesh",
        Some("values-prod.yaml"),
        &["mesh.enabled=false"],
    ),
    (
        "prod-no-gateway",
        Some("values-prod.yaml"),
        &["gateway.enabled=false"],
    ),
    (
        "prod-canary",
        Some("values-prod.yaml"),
        &[
            "services.room.canary.weight=10",
            "services.room.canary.replicas=1",
            "services.room.canary.image.tag=0.2.0",
        ],
    ),
    (
        "prod-retries",
        Some("values-prod.yaml"),
        &["mesh.retries=true"],
    ),
    ("ci", Some("values-ci.yaml"), &[]),
    ("ci-mesh", Some("values-ci.yaml"), &["mesh.enabled=true"]),
    (
        "ci-settings",
        Some("values-ci.yaml"),
        &["services.reservation.config.MAX_RESERVATION_PER_PERSON=3"],
    ),
];

/// Values that must be refused, and what the refusal names.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("mod=services", "mod"),
    ("mode=all", "mode"),
    ("image.digest=latest", "digest"),
    ("image.pullPolicy=Sometimes", "pullPolicy"),
    ("config.BERTH_LGO=debug", "BERTH_LGO"),
    ("config.berth_log=debug", "berth_log"),
    (
        "secretEnv.BERTH_DATABASE_URL=postgres://",
        "BERTH_DATABASE_URL",
    ),
    ("secretEnv.BERTH_DATABASE_URL.nam=db", "nam"),
    ("services.reservaton.replicas=2", "reservaton"),
    ("services.room.replica=2", "replica"),
    ("services.room.replicas=0", "replicas"),
    ("services.room.calls[0]=roon", "calls"),
    ("services.room.objective=100", "objective"),
    (
        "services.room.probes.readiness.periodSecond=2",
        "periodSecond",
    ),
    ("services.room.probes.ready.periodSeconds=2", "ready"),
    (
        "services.room.probes.readiness.terminationGracePeriodSeconds=2",
        "terminationGracePeriodSeconds",
    ),
    ("services.room.autoscaling.minReplicas=1", "autoscaling"),
    ("services.room.resources.requests.memory=1 GB", "memory"),
    ("services.room.pod.hostNetwork=true", "hostNetwork"),
    (
        "services.room.sharedVolume.mountPath=/data/x",
        "sharedVolume",
    ),
    ("allInOne.replicas=2", "replicas"),
    ("allInOne.storage=null", "storage"),
    ("nats.enable=true", "enable"),
    ("mesh.enable=true", "enable"),
    ("mesh.timeouts.room=1.5s", "timeouts"),
    ("mesh.retry.codes=unavailable", "retry"),
    ("gateway.parentRefs[0].nam=public", "nam"),
    ("monitoring.runbooks=docs", "runbooks"),
];

/// Installations whose values contradict each other; the name is what the error names.
pub(super) const CONTRADICTIONS: &[Installation] = &[
    (
        "mesh.enabled",
        Some("values-dev.yaml"),
        &[
            "services.room.canary.weight=10",
            "services.room.canary.replicas=1",
            "services.room.canary.image.tag=0.2.0",
        ],
    ),
    (
        "backup.enabled",
        Some("values-prod.yaml"),
        &["backup.enabled=true"],
    ),
    (
        "replicas",
        Some("values-dev.yaml"),
        &["services.room.storage.size=1Gi", "services.room.replicas=2"],
    ),
];
