//! Errors in the terms of gRPC: a refusal of a domain, violations of a request, and the `Status` that a caller gets.

pub mod refusal;
pub mod status;
pub mod violations;
