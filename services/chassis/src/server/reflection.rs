//! gRPC server reflection.

use tonic::service::Routes;
use tonic_reflection::server::{Builder, Error};

/// Adds reflection of these services, in the versions v1 and v1alpha.
pub fn with_reflection(routes: Routes, services: &[String]) -> Result<Routes, Error> {
    let builder = || {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(berth::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        services.iter().fold(builder, Builder::with_service_name)
    };
    Ok(routes
        .add_service(builder().build_v1()?)
        .add_service(builder().build_v1alpha()?))
}
