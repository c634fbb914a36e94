//! Are the variables known to the code, and are secrets only in Secrets?
use super::{
    Deployment,
    entries::words,
    objects::{at, list, text, title},
};

/// Variables of libraries begin like this.
const FOREIGN: &[&str] = &["OTEL_", "RUST_"];

/// Words in the names of secret values.
const SECRET: &[&str] = &["password", "secret", "token", "private", "credentials"];

/// A variable of a container that runs a binary of Berth is one that Berth or a library knows, or part of another value.
pub fn known(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    for pod in deployment.objects.pods() {
        for container in pod.containers() {
            if !words(container)
                .first()
                .is_some_and(|binary| deployment.is_binary(binary))
            {
                continue;
            }
            let settings = deployment.settings_of(container);
            for name in settings.keys() {
                let is_known = deployment.platform.variables.contains_key(name)
                    || FOREIGN.iter().any(|start| name.starts_with(start));
                let is_part = settings
                    .values()
                    .any(|value| value.contains(&format!("$({name})")));
                if !is_known && !is_part {
                    wrong.push(format!("{}: {name} is no setting", title(pod.owner)));
                }
            }
        }
    }
    wrong
}

/// A secret value is in a Secret, not in a ConfigMap or a pod: neither the value of a secret setting, nor a password in a URL.
pub fn secrets(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    let maps = deployment
        .objects
        .of("ConfigMap")
        .map(|map| (map, at(map, "data").as_object()));
    let data =
        maps.flat_map(|(map, data)| data.into_iter().flatten().map(move |entry| (map, entry)));
    for (map, (name, value)) in data {
        if is_secret(deployment, name, value.as_str().unwrap_or_default()) {
            wrong.push(format!("{}: {name} is secret", title(map)));
        }
    }
    for pod in deployment.objects.pods() {
        for env in pod
            .containers()
            .flat_map(|container| list(container, "env"))
        {
            let (name, value) = (text(env, "name"), text(env, "value"));
            if is_secret(deployment, name, value) {
                wrong.push(format!("{}: {name} is secret", title(pod.owner)));
            }
        }
    }
    wrong
}

fn is_secret(deployment: &Deployment, name: &str, value: &str) -> bool {
    let passwords = value
        .split("://")
        .skip(1)
        .filter_map(|rest| rest.split('@').next()?.split_once(':'));
    let mut passwords = passwords
        .filter(|_| value.contains('@'))
        .map(|(_, password)| password);
    if passwords.any(|password| !password.starts_with("$(")) {
        return true;
    }
    let is_literal = !value.is_empty() && !value.contains("$(") && !value.starts_with('/');
    if let Some(secret) = deployment.platform.variables.get(name) {
        // A URL is secret for the password that it may have.
        return *secret && is_literal && !value.contains("://");
    }
    let name = name.to_lowercase();
    is_literal && !value.contains('\n') && SECRET.iter().any(|word| name.contains(word))
}
