//! Does every rpc have the route that fits its contract?
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    Deployment,
    mesh_kinds::{GRPCRoute, spec},
    objects::{annotation, at, name_of, title},
    platform::Rpc,
    time::duration,
};

/// The annotation with the time that a whole request has.
const TIMEOUT: &str = "timeout.linkerd.io/request";

/// The annotations of retries begin like this.
const RETRY: &str = "retry.linkerd.io/";

/// A route of the rpcs of a context.
struct Route<'o> {
    object: &'o Value,
    /// The Service and the port that it belongs to.
    parents: Vec<(String, u64)>,
    /// Service and method of each exact match.
    rpcs: Vec<(String, String)>,
    /// Whether a rule matches everything.
    catches_all: bool,
}

impl Route<'_> {
    /// Whether it is for rpcs that may be repeated.
    fn is_safe(&self) -> bool {
        name_of(self.object).ends_with("-safe")
    }

    fn has(&self, rpc: &Rpc) -> bool {
        let mut all = self.rpcs.iter();
        all.any(|(service, method)| (service, method) == (&rpc.service, &rpc.method))
    }

    fn timeout(&self) -> Option<Duration> {
        annotation(self.object, TIMEOUT).and_then(duration)
    }
}

fn routes(deployment: &Deployment) -> Vec<Route<'_>> {
    let routes = deployment.objects.of("GRPCRoute").filter_map(|object| {
        let route: GRPCRoute = spec(object).ok()?;
        let services = route.parent_refs.iter();
        let services = services.filter(|parent| parent.kind.as_deref() == Some("Service"));
        let matches = route
            .rules
            .iter()
            .map(|rule| rule.matches.as_deref().unwrap_or_default());
        let methods = matches
            .clone()
            .flatten()
            .filter_map(|one| one.method.as_ref());
        Some(Route {
            object,
            parents: services
                .filter_map(|parent| Some((parent.name.clone(), parent.port?)))
                .collect(),
            rpcs: methods
                .filter_map(|method| method.service.clone().zip(method.method.clone()))
                .collect(),
            catches_all: matches.into_iter().any(<[_]>::is_empty),
        })
    });
    routes.filter(|route| !route.parents.is_empty()).collect()
}

/// Every rpc has one route: that of rpcs that may be repeated, if its contract says so, else that of the others.
pub fn classified(deployment: &Deployment) -> Vec<String> {
    let routes = routes(deployment);
    let mut wrong = Vec::new();
    if routes.is_empty() && !deployment.is_meshed() {
        return wrong;
    }
    for rpc in &deployment.platform.rpcs {
        let having: Vec<_> = routes.iter().filter(|route| route.has(rpc)).collect();
        let name = format!("{}/{}", rpc.service, rpc.method);
        let [route] = &*having else {
            wrong.push(format!("{name}: has {} routes", having.len()));
            continue;
        };
        if route.is_safe() != rpc.repeatable {
            wrong.push(format!("{name}: is in {}", title(route.object)));
        }
        let services = deployment.services_of(&rpc.context);
        if !route
            .parents
            .iter()
            .any(|(service, _)| services.contains(&&**service))
        {
            wrong.push(format!("{name}: its route belongs to {:?}", route.parents));
        }
        if rpc.streaming && route.timeout().is_some() {
            wrong.push(format!("{name}: a stream has no time limit as a whole"));
        }
    }
    let known = &deployment.platform.rpcs;
    for route in &routes {
        let mut exact = route.rpcs.iter();
        let unknown = exact.find(|(service, method)| {
            !known
                .iter()
                .any(|rpc| (&rpc.service, &rpc.method) == (service, method))
        });
        wrong.extend(unknown.map(|(service, method)| format!("{service}/{method}: no such rpc")));
    }
    wrong
}

/// A port with a route has one that catches what no other matches, such as health and reflection. Otherwise that is NOT_FOUND.
pub fn complete(deployment: &Deployment) -> Vec<String> {
    let routes = routes(deployment);
    let mut caught: BTreeMap<&(String, u64), bool> = BTreeMap::new();
    for route in &routes {
        for parent in &route.parents {
            *caught.entry(parent).or_default() |= route.catches_all;
        }
    }
    let open = caught.into_iter().filter(|(_, caught)| !caught);
    open.map(|((service, port), _)| {
        format!("Service {service}, port {port}: no route catches the rest")
    })
    .collect()
}

/// Nothing is retried by the mesh, whose retries can lose responses. The application retries.
pub fn no_retries(deployment: &Deployment) -> Vec<String> {
    let retried = deployment
        .objects
        .0
        .iter()
        .filter(|object| has_retries(object));
    retried
        .map(|object| format!("{}: has retries", title(object)))
        .collect()
}

/// If the mesh retries, then only rpcs that may be repeated, on routes, and within the time of the request.
pub fn retries(deployment: &Deployment) -> Vec<String> {
    let safe: BTreeSet<String> = routes(deployment)
        .iter()
        .filter(|route| route.is_safe())
        .map(|route| title(route.object))
        .collect();
    let mut wrong = Vec::new();
    for object in deployment
        .objects
        .0
        .iter()
        .filter(|object| has_retries(object))
    {
        if !safe.contains(&title(object)) {
            wrong.push(format!("{}: must not have retries", title(object)));
        }
        let limit =
            annotation(object, "retry.linkerd.io/limit").and_then(|limit| limit.parse().ok());
        let limit: u32 = limit.unwrap_or(1);
        let each = annotation(object, "retry.linkerd.io/timeout").and_then(duration);
        let total = annotation(object, TIMEOUT).and_then(duration);
        let fits = each
            .zip(total)
            .is_none_or(|(each, total)| each * (limit + 1) <= total);
        if limit > 2 || !fits {
            wrong.push(format!(
                "{}: {limit} retries of {each:?} in {total:?}",
                title(object)
            ));
        }
    }
    wrong
}

fn has_retries(object: &Value) -> bool {
    let annotations = at(object, "metadata.annotations").as_object();
    annotations.is_some_and(|all| all.keys().any(|name| name.starts_with(RETRY)))
}

/// The routes of rpcs have a time limit. That of a caller is longer than that of the rpc that it waits for.
pub fn time_limits(deployment: &Deployment) -> Vec<String> {
    let routes = routes(deployment);
    let of = |rpc: &Rpc| routes.iter().find(|route| route.has(rpc));
    let mut wrong = Vec::new();
    let rpcs = &deployment.platform.rpcs;
    for route in routes
        .iter()
        .filter(|route| !route.rpcs.is_empty() && route.timeout().is_none())
    {
        let mut streams = rpcs.iter().filter(|rpc| rpc.streaming);
        if !streams.any(|rpc| route.has(rpc)) {
            wrong.push(format!("{}: has no {TIMEOUT}", title(route.object)));
        }
    }
    for (caller, rpc) in &deployment.platform.waits {
        let waited = rpcs
            .iter()
            .find(|one| format!("{}/{}", one.service, one.method) == *rpc);
        let waited = waited.and_then(of).and_then(Route::timeout);
        let own = rpcs.iter().filter(|one| one.context == *caller);
        for limit in own.filter_map(of).filter_map(Route::timeout) {
            if waited.is_some_and(|waited| waited >= limit) {
                wrong.push(format!(
                    "{caller}: {limit:?} is not longer than that of {rpc}"
                ));
            }
        }
    }
    wrong
}
