//! Rules for names and comments of the contracts.
use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, FileDescriptor};

use crate::contracts::{self, files, messages, methods, snake};

/// The package is `berth.<context>.v<n>`, and the directory says the same.
pub fn packages(pool: &DescriptorPool) -> Vec<String> {
    let right = |file: &FileDescriptor| {
        let package = file.package_name();
        let [_, _, version] = package.split('.').collect::<Vec<_>>()[..] else {
            return false;
        };
        let directory = file.name().rsplit_once('/').map(|(path, _)| path);
        directory == Some(&*package.replace('.', "/"))
            && version
                .strip_prefix('v')
                .is_some_and(|number| number.parse::<u8>().is_ok())
    };
    files(pool)
        .filter(|file| !right(file))
        .map(|file| {
            format!(
                "{}: package {} is not berth.<context>.v<n> after its directory",
                file.name(),
                file.package_name()
            )
        })
        .collect()
}

/// A service is called `…Service`.
pub fn services(pool: &DescriptorPool) -> Vec<String> {
    contracts::services(pool)
        .filter(|service| !service.name().ends_with("Service"))
        .map(|service| format!("{}: a service is called …Service", service.full_name()))
        .collect()
}

/// Every rpc has a request and a response of its own, named after it.
pub fn requests(pool: &DescriptorPool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for method in methods(pool) {
        for (message, role) in [(method.input(), "Request"), (method.output(), "Response")] {
            let package = method.parent_service().package_name().to_owned();
            let expected = format!("{package}.{}{role}", method.name());
            if message.full_name() != expected {
                wrong.push(format!("{}: must use {expected}", method.full_name()));
            }
            if !used.insert(message.full_name().to_owned()) {
                wrong.push(format!("{}: used by two rpcs", message.full_name()));
            }
        }
    }
    wrong
}

/// The values of an enum begin with its name, and the value 0 is `…_UNSPECIFIED`.
pub fn enums(pool: &DescriptorPool) -> Vec<String> {
    let mut wrong = Vec::new();
    for kind in contracts::enums(pool) {
        let prefix = snake(kind.name()).to_uppercase();
        for value in kind.values() {
            let (name, zero) = (value.name(), value.number() == 0);
            if !name.starts_with(&format!("{prefix}_")) {
                wrong.push(format!("{name}: must begin with {prefix}_"));
            }
            if zero != (name == format!("{prefix}_UNSPECIFIED")) {
                wrong.push(format!("{name}: {prefix}_UNSPECIFIED is 0, and 0 is that"));
            }
        }
    }
    wrong
}

/// Every service, rpc, message, field, enum and value has a comment.
pub fn comments(pool: &DescriptorPool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |file: &FileDescriptor, path: &[i32], name: &str| {
        if !is_commented(file, path) {
            wrong.push(format!("{name}: has no comment"));
        }
    };
    for service in contracts::services(pool) {
        check(&service.parent_file(), service.path(), service.full_name());
        for rpc in service.methods() {
            check(&rpc.parent_file(), rpc.path(), rpc.full_name());
        }
    }
    for message in messages(pool) {
        check(&message.parent_file(), message.path(), message.full_name());
        for field in message.fields() {
            check(&field.parent_file(), field.path(), field.full_name());
        }
    }
    for kind in contracts::enums(pool) {
        check(&kind.parent_file(), kind.path(), kind.full_name());
        for value in kind.values() {
            check(&value.parent_file(), value.path(), value.full_name());
        }
    }
    wrong
}

fn is_commented(file: &FileDescriptor, path: &[i32]) -> bool {
    let info = &file.file_descriptor_proto().source_code_info;
    let mut places = info.iter().flat_map(|info| &info.location);
    places.any(|place| place.path == path && !place.leading_comments().trim().is_empty())
}
