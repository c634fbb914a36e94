//! The policies and routes of the mesh. A field that is not here is refused: the API server would drop it silently.
use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::objects::at;

/// The API groups of the mesh and of its routes.
pub const POLICY: &str = "policy.linkerd.io";
/// See [`POLICY`].
pub const GATEWAY: &str = "gateway.networking.k8s.io";

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        #[expect(missing_docs, reason = "the reference of the mesh describes the fields")]
        pub struct $name { $(pub $field: $type,)* }
    )*};
}

kinds! {
    /// A port of pods, and who may use it without a policy.
    Server {
        pod_selector: Option<Selector>,
        port: Value,
        proxy_protocol: Option<String>,
        access_policy: Option<String>,
    }
    /// Which pods.
    Selector {
        match_labels: Option<BTreeMap<String, String>>,
        match_expressions: Option<Vec<Expression>>,
    }
    /// A condition on a label.
    Expression {
        key: String,
        operator: String,
        values: Option<Vec<String>>,
    }
    /// Who may use a Server or a route.
    AuthorizationPolicy {
        target_ref: Reference,
        required_authentication_refs: Vec<Reference>,
    }
    /// An object by its group, kind and name.
    Reference {
        group: Option<String>,
        kind: String,
        name: String,
        namespace: Option<String>,
    }
    /// Identities of clients.
    MeshTLSAuthentication {
        identities: Option<Vec<String>>,
        identity_refs: Option<Vec<Reference>>,
    }
    /// Addresses of clients.
    NetworkAuthentication {
        networks: Vec<Network>,
    }
    /// A network without some parts.
    Network {
        cidr: String,
        except: Option<Vec<String>>,
    }
    /// Limits of requests to a Server, for each pod.
    HTTPLocalRateLimitPolicy {
        target_ref: Reference,
        total: Option<Rate>,
        identity: Option<Rate>,
        overrides: Option<Vec<RateOverride>>,
    }
    /// A limit.
    Rate {
        requests_per_second: i64,
    }
    /// A limit of some clients.
    RateOverride {
        requests_per_second: i64,
        client_refs: Vec<Reference>,
    }
    /// Destinations outside of the cluster.
    EgressNetwork {
        networks: Option<Vec<Network>>,
        traffic_policy: String,
    }
    /// Routes of rpcs to a Service.
    GRPCRoute {
        parent_refs: Vec<Parent>,
        hostnames: Option<Vec<String>>,
        rules: Vec<Rule>,
    }
    /// Routes of TLS connections.
    TLSRoute {
        parent_refs: Vec<Parent>,
        hostnames: Option<Vec<String>>,
        rules: Vec<TlsRule>,
    }
    /// What a route belongs to.
    Parent {
        group: Option<String>,
        kind: Option<String>,
        name: String,
        namespace: Option<String>,
        section_name: Option<String>,
        port: Option<u64>,
    }
    /// Requests, and their destinations.
    Rule {
        matches: Option<Vec<Match>>,
        filters: Option<Vec<Value>>,
        backend_refs: Vec<Backend>,
    }
    /// Connections, and their destinations.
    TlsRule {
        backend_refs: Vec<Backend>,
    }
    /// A condition on a request.
    Match {
        method: Option<Method>,
        headers: Option<Vec<Value>>,
    }
    /// A condition on the rpc.
    Method {
        r#type: Option<String>,
        service: Option<String>,
        method: Option<String>,
    }
    /// A destination.
    Backend {
        group: Option<String>,
        kind: Option<String>,
        name: String,
        namespace: Option<String>,
        port: Option<u64>,
        weight: Option<u64>,
    }
}

/// The `spec` of an object.
pub fn spec<T: DeserializeOwned>(object: &Value) -> Result<T, String> {
    T::deserialize(at(object, "spec")).map_err(|error| error.to_string())
}
