//! Does the chart deploy the platform that the code needs, under the rules of Kubernetes and of the mesh?
//!
//! A rule compares the objects of a rendering with the [`Platform`] of the code. Kubernetes' own schemas are not repeated
//! here: `cargo xtask chart` checks them.
pub mod admission;
pub mod clients;
pub mod entries;
pub mod faults;
pub mod mesh_kinds;
pub mod network;
pub mod objects;
pub mod platform;
pub mod pods;
pub mod ports;
pub mod rendering;
pub mod routes;
pub mod settings;
pub mod time;
pub mod times;

use std::collections::{BTreeMap, BTreeSet};

use objects::{Objects, Pod, at, list, name_of, text};
use platform::Platform;
use serde_json::Value;

use crate::Rule;

/// A rendering of the chart, and the platform that it must deploy.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The rendered objects.
    pub objects: Objects,
    /// The platform.
    pub platform: Platform,
}

/// The rules for every rendering.
pub const DEPLOY: &[Rule<Deployment>] = &[
    ("entries in the chart", entries::in_chart),
    ("entries in the mesh", entries::in_mesh),
    ("probes", entries::probes),
    ("subcommands", entries::subcommands),
    ("replaced", entries::replaced),
    ("classified rpcs", routes::classified),
    ("complete routes", routes::complete),
    ("retries", routes::retries),
    ("time limits", routes::time_limits),
    ("kinds of the mesh", admission::kinds),
    ("servers", admission::servers),
    ("authorizations", admission::authorizations),
    ("rates", admission::rates),
    ("routes", admission::routes),
    ("annotations", admission::annotations),
    ("breakers", admission::breakers),
    ("addresses of peers", clients::addresses),
    ("networks", clients::networks),
    ("identities", clients::identities),
    ("closed ports", clients::closed),
    ("ports of services", ports::services),
    ("opaque ports", ports::opaque),
    ("defined ports", ports::addresses),
    ("stops", times::stops),
    ("hangs", times::hangs),
    ("jobs", times::jobs),
    ("restricted", pods::restricted),
    ("images", pods::images),
    ("variables once", pods::variables_once),
    ("scaled", pods::scaled),
    ("known settings", settings::known),
    ("secrets", settings::secrets),
];

/// The rules for renderings without retries by the mesh, which is the default.
pub const NO_RETRIES: Rule<Deployment> = ("no retries", routes::no_retries);

/// The rule for production.
pub const DIGESTS: Rule<Deployment> = ("digests", pods::digests);

impl Deployment {
    /// Whether the rendering uses the mesh.
    pub fn is_meshed(&self) -> bool {
        self.objects.of("Server").next().is_some()
    }

    /// Whether the rendering restricts the network.
    pub fn has_network_policies(&self) -> bool {
        self.objects.of("NetworkPolicy").next().is_some()
    }

    /// The pods of contexts, each with its context: those of workloads that run until they are stopped.
    pub fn pods_of_contexts(&self) -> Vec<(&str, Pod<'_>)> {
        let pods = self.objects.pods().into_iter().filter(|pod| !pod.is_job());
        let named = pods.filter_map(|pod| {
            let name = at(pod.metadata, "labels").get("app.kubernetes.io/name")?;
            let context = self.platform.contexts.get(name.as_str()?)?;
            Some((&**context, pod))
        });
        named.collect()
    }

    /// The names of the Services that lead to the pods of a context.
    pub fn services_of(&self, context: &str) -> BTreeSet<&str> {
        let pods = self.pods_of_contexts();
        let services = self.objects.of("Service").filter(|service| {
            let selector = at(service, "spec.selector");
            pods.iter()
                .any(|(name, pod)| *name == context && pod.has_labels(selector))
        });
        services.map(name_of).collect()
    }

    /// Whether a pod is a database or broker.
    pub fn is_server(&self, pod: &Pod<'_>) -> bool {
        [4222, 5432]
            .iter()
            .any(|port| pod.port(&(*port).into()).is_some())
    }

    /// Whether a command is a binary of Berth.
    pub fn is_binary(&self, command: &str) -> bool {
        let name = command.trim_start_matches('/');
        name == "berth" || self.platform.contexts.contains(name)
    }

    /// The variables of the first container of a pod.
    pub fn settings(&self, pod: &Pod<'_>) -> BTreeMap<String, String> {
        let first = list(pod.spec, "containers").first();
        first
            .map(|container| self.settings_of(container))
            .unwrap_or_default()
    }

    /// The variables of a container, from ConfigMaps and its own; empty if the value is not in the rendering.
    pub fn settings_of(&self, container: &Value) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        for source in list(container, "envFrom") {
            let map = self
                .objects
                .named("ConfigMap", text(source, "configMapRef.name"));
            for (name, value) in map
                .and_then(|map| at(map, "data").as_object())
                .into_iter()
                .flatten()
            {
                settings.insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
            }
        }
        for own in list(container, "env") {
            settings.insert(text(own, "name").to_owned(), text(own, "value").to_owned());
        }
        settings
    }
}
