//! The audit trail: one record in the logs for every change that an operator makes.

/// The target of its records. No log filter leaves it out.
pub(crate) const TARGET: &str = "audit";

/// A change by an operator.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// The operator: a member, or the address of a connection.
    pub(crate) actor: &'a str,
    /// The service that called on their behalf, or empty.
    pub(crate) service: &'a str,
    /// The rpc, for example `berth.member.v1.MemberService/SetRoles`, or the HTTP request.
    pub(crate) action: &'a str,
    /// What was acted upon.
    pub(crate) subject: &'a str,
    /// The gRPC code of the outcome. CANCELLED: the caller or the deadline ended it, and it may have taken effect.
    pub(crate) outcome: &'a str,
    /// Id of the request, which is also the cause of its events.
    pub(crate) request_id: &'a str,
}

/// Writes a record.
pub(crate) fn record(of: &Change<'_>) {
    let Change {
        actor,
        service,
        action,
        subject,
        outcome,
        request_id,
    } = of;
    tracing::info!(target: TARGET, actor, service, action, subject, outcome, request_id, "operator action");
}
