//! The software bill of materials of the images: the crates that are compiled into `berth`, in CycloneDX.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::tools::{cargo, root};

/// Writes the bill of materials. Returns the number of crates.
pub(crate) fn write(package: &str, target: &str, to: &Path) -> Result<usize> {
    let output = cargo()
        .current_dir(root())
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", target])
        .output()?;
    ensure!(
        output.status.success(),
        "cargo metadata failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let bill = bill(&serde_json::from_slice(&output.stdout)?, package)
        .with_context(|| format!("no package {package}"))?;
    let components = bill.get("components").and_then(Value::as_array);
    let count = components.map_or(0, Vec::len);
    fs::write(to, serde_json::to_string_pretty(&bill)?)?;
    Ok(count)
}

/// The bill of materials of a package, from the output of `cargo metadata`.
fn bill(metadata: &Value, package: &str) -> Option<Value> {
    let by_id = |list: &Value| -> Option<BTreeMap<String, Value>> {
        let items = list.as_array()?.iter();
        items
            .map(|item| Some((item["id"].as_str()?.to_owned(), item.clone())))
            .collect()
    };
    let packages = by_id(&metadata["packages"])?;
    let nodes = by_id(metadata.pointer("/resolve/nodes")?)?;
    let own = packages.iter().find(|(id, found)| {
        let members = metadata["workspace_members"].as_array();
        let is_member = members.is_some_and(|all| all.iter().any(|member| *member == **id));
        is_member && found["name"] == package
    });
    let (own, main) = own?;
    // Everything that it is linked with, directly and indirectly.
    let (mut found, mut open) = (BTreeSet::new(), vec![own.clone()]);
    while let Some(id) = open.pop() {
        let dependencies = nodes.get(&id)?["deps"].as_array()?.iter();
        let linked = dependencies.filter(|dependency| {
            let kinds = dependency["dep_kinds"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        });
        for dependency in linked {
            let id = dependency["pkg"].as_str()?.to_owned();
            if found.insert(id.clone()) {
                open.push(id);
            }
        }
    }
    let components = found.iter().filter_map(|id| packages.get(id));
    let mut components: Vec<Value> = components.map(component).collect();
    components.sort_by_key(|component| component["purl"].to_string());
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(main)},
        "components": components,
    }))
}

fn component(package: &Value) -> Value {
    let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
    let (name, version) = (text("name"), text("version"));
    let mut component = json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
    });
    let licence = text("license").replace('/', " OR ");
    if let (Some(fields), false) = (component.as_object_mut(), licence.is_empty()) {
        fields.insert("licenses".into(), json!([{"expression": licence}]));
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_has_what_is_linked_and_nothing_else() {
        let dependency =
            |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let package = |id: &str| json!({"id": id, "name": id, "version": "1.0.0", "license": "MIT/Apache-2.0"});
        let ids = ["berth", "direct", "indirect", "for-build", "for-tests"];
        let metadata = json!({
            "workspace_members": ["berth"],
            "packages": ids.map(package),
            "resolve": {"nodes": [
                {"id": "berth", "deps": [
                    dependency("direct", Value::Null),
                    dependency("for-build", json!("build")),
                    dependency("for-tests", json!("dev")),
                ]},
                {"id": "direct", "deps": [dependency("indirect", Value::Null)]},
                {"id": "indirect", "deps": []},
                {"id": "for-build", "deps": []},
                {"id": "for-tests", "deps": []},
            ]},
        });
        let bill = bill(&metadata, "berth").unwrap();
        let components = bill["components"].as_array().unwrap().iter();
        let urls: Vec<_> = components.map(|it| it["purl"].as_str().unwrap()).collect();
        assert_eq!(urls, ["pkg:cargo/direct@1.0.0", "pkg:cargo/indirect@1.0.0"]);
        let licences = &bill["components"][0]["licenses"];
        assert_eq!(licences[0]["expression"], "MIT OR Apache-2.0");
    }
}
