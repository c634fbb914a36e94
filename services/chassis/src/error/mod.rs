//! Errors in terms of gRPC: refusals of a domain, violations of a request, and the `Status` that a caller receives.

pub mod refusal;
pub mod status;
pub mod violations;
