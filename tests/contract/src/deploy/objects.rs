//! The objects that a chart renders.
use anyhow::{Context, Result};
use serde_json::Value;

/// The objects of one rendering.
#[derive(Clone, Debug, Default)]
pub struct Objects(pub Vec<Value>);

/// A pod as a workload describes it.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'o> {
    /// The object that has it.
    pub owner: &'o Value,
    /// Its labels and annotations.
    pub metadata: &'o Value,
    /// Its containers and settings.
    pub spec: &'o Value,
}

impl Objects {
    /// Reads documents of YAML, as Kubernetes does: plain `on` and `yes` are booleans. A key that occurs twice is an error.
    pub fn parse(yaml: &str) -> Result<Self> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("no YAML")?;
        let objects = documents.into_iter().filter(|object| !object.is_null());
        Ok(Self(objects.collect()))
    }

    /// The objects of a kind.
    pub fn of<'o>(&'o self, kind: &'o str) -> impl Iterator<Item = &'o Value> {
        self.0
            .iter()
            .filter(move |object| text(object, "kind") == kind)
    }

    /// The object of a kind with a name.
    pub fn named<'o>(&'o self, kind: &'o str, name: &str) -> Option<&'o Value> {
        self.of(kind).find(|object| name_of(object) == name)
    }

    /// The pods of all workloads, with those of jobs and tests.
    pub fn pods(&self) -> Vec<Pod<'_>> {
        let pods = self.0.iter().filter_map(|owner| {
            let template = match text(owner, "kind") {
                "Pod" => owner,
                "CronJob" => at(owner, "spec.jobTemplate.spec.template"),
                _ => at(owner, "spec.template"),
            };
            let spec = template.get("spec")?;
            spec.get("containers")?;
            Some(Pod {
                owner,
                metadata: at(template, "metadata"),
                spec,
            })
        });
        pods.collect()
    }

    /// The pods that a Service or a policy selects. An empty selector of a Service selects none.
    pub fn selected<'o>(&'o self, labels: &Value) -> Vec<Pod<'o>> {
        let mut pods = self.pods();
        pods.retain(|pod| pod.has_labels(labels));
        pods
    }
}

impl<'o> Pod<'o> {
    /// Whether it has all labels of a non-empty selector.
    pub fn has_labels(&self, labels: &Value) -> bool {
        let own = at(self.metadata, "labels");
        labels.as_object().is_some_and(|labels| {
            !labels.is_empty()
                && labels
                    .iter()
                    .all(|(name, value)| own.get(name) == Some(value))
        })
    }

    /// Its containers and init containers.
    pub fn containers(&self) -> impl Iterator<Item = &'o Value> + use<'o> {
        let init = list(self.spec, "initContainers");
        list(self.spec, "containers").iter().chain(init)
    }

    /// Whether it ends by itself.
    pub fn is_job(&self) -> bool {
        matches!(text(self.owner, "kind"), "Job" | "CronJob" | "Pod")
    }

    /// Whether it gets a proxy of the mesh.
    pub fn is_meshed(&self) -> bool {
        self.annotation("linkerd.io/inject") == Some("enabled")
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<&'o str> {
        at(self.metadata, "annotations").get(name)?.as_str()
    }

    /// The port of a name or number: its name and number.
    pub fn port(&self, wanted: &Value) -> Option<(&'o str, u64)> {
        let mut ports = self
            .containers()
            .flat_map(|container| list(container, "ports"));
        let port = ports.find(|port| {
            port.get("name") == Some(wanted) || port.get("containerPort") == Some(wanted)
        })?;
        Some((text(port, "name"), port.get("containerPort")?.as_u64()?))
    }
}

/// The value at a path of names, such as `spec.template`; null if there is none.
pub fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.')
        .fold(value, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// The elements of the list at a path.
pub fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// The text at a path; empty if there is none.
pub fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).as_str().unwrap_or_default()
}

/// An annotation of an object.
pub fn annotation<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    at(object, "metadata.annotations").get(name)?.as_str()
}

/// The name of an object.
pub fn name_of(object: &Value) -> &str {
    text(object, "metadata.name")
}

/// Kind and name of an object, for messages.
pub fn title(object: &Value) -> String {
    format!("{} {}", text(object, "kind"), name_of(object))
}
