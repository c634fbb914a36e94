//! Plants faults in a deployment, to see that the rules find them.
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Deployment,
    objects::{at, name_of, text},
};

/// Faults, by the kind of rendering that they change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Of separate processes in the mesh.
    pub mesh: Vec<Fault>,
    /// Of separate processes without a mesh.
    pub processes: Vec<Fault>,
}

/// A fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The rule that must find it.
    pub rule: String,
    /// What the rule must find.
    pub finds: String,
    /// The object that it changes: kind and name.
    r#in: Option<String>,
    /// The path of the changed value.
    at: Option<String>,
    /// The new value; null is none.
    put: Option<Value>,
    /// Old and new text.
    replace: Option<(String, String)>,
    /// The object that it removes.
    remove: Option<String>,
    /// The object of which it makes a copy with another name.
    copy: Option<String>,
    /// The object that it adds.
    add: Option<Value>,
}

impl Fault {
    /// Plants it.
    pub fn plant(&self, deployment: &mut Deployment) -> Result<()> {
        let objects = &mut deployment.objects.0;
        if let Some(title) = &self.remove {
            let index = index(objects, title)?;
            objects.remove(index);
        } else if let Some(title) = &self.copy {
            let mut copy = objects
                .get(index(objects, title)?)
                .cloned()
                .unwrap_or_default();
            set(&mut copy, "/metadata/name", "copy".into())?;
            objects.push(copy);
        } else if let Some(object) = &self.add {
            objects.push(object.clone());
        } else {
            let title = self.r#in.as_deref().context("no object")?;
            let index = index(objects, title)?;
            let object = objects.get_mut(index).context("no object")?;
            let pointer = pointer(self.at.as_deref().context("no path")?);
            let value = match &self.replace {
                Some((from, to)) => replaced(object, &pointer, from, to)?,
                None => self.put.clone().unwrap_or_default(),
            };
            set(object, &pointer, value)?;
        }
        Ok(())
    }
}

/// The position of an object by its kind, and its name without that of the release, or its label.
fn index(objects: &[Value], title: &str) -> Result<usize> {
    let (kind, name) = title.split_once(' ').context("no kind")?;
    let is_it = |object: &Value| {
        let label = at(object, "metadata.labels").get("app.kubernetes.io/name");
        let named = name_of(object) == format!("berth-{name}");
        text(object, "kind") == kind && (named || label == Some(&Value::from(name)))
    };
    objects
        .iter()
        .position(is_it)
        .with_context(|| format!("no {title}"))
}

/// The JSON pointer of a path.
fn pointer(path: &str) -> String {
    let (start, rest) = path.split_once('/').unwrap_or((path, ""));
    match start {
        "pod" => format!("/spec/template/spec/{rest}"),
        "app" => format!("/spec/template/spec/containers/0/{rest}"),
        "proxy" => format!("/spec/template/metadata/annotations/{rest}"),
        "annotations" => format!("/metadata/annotations/{rest}"),
        _ => format!("/{path}"),
    }
}

fn replaced(object: &Value, pointer: &str, from: &str, to: &str) -> Result<Value> {
    let old = object.pointer(pointer).and_then(Value::as_str);
    let old = old.filter(|old| old.contains(from));
    let old = old.with_context(|| format!("no {from} at {pointer}"))?;
    Ok(old.replace(from, to).into())
}

/// Sets a value whose parent exists; annotations need not exist. `-` is the end of a list.
fn set(object: &mut Value, pointer: &str, value: Value) -> Result<()> {
    let (parent, key) = pointer.rsplit_once('/').context("no path")?;
    if parent == "/metadata/annotations" && object.pointer(parent).is_none() {
        set(object, parent, serde_json::json!({}))?;
    }
    match object.pointer_mut(parent) {
        Some(Value::Array(elements)) if key == "-" => elements.push(value),
        Some(Value::Array(elements)) => {
            let element = elements.get_mut(key.parse::<usize>()?);
            *element.context("no element")? = value;
        }
        Some(Value::Object(map)) => drop(map.insert(key.replace("~1", "/"), value)),
        _ => bail!("no {parent} for {key}"),
    }
    Ok(())
}
