//! The health service of a process.

use chassis::server::health::{Health, LIVENESS, READINESS};
use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

const ROOM: &str = "berth.room.v1.RoomService";

async fn check(health: &Health, service: &str) -> Result<ServingStatus, Code> {
    let request = Request::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    let response = HealthClient::new(health.server()).check(request).await;
    response
        .map(|response| response.get_ref().status())
        .map_err(|status| status.code())
}

async fn all_are(health: &Health, expected: ServingStatus) {
    for service in ["", READINESS, ROOM] {
        assert_eq!(check(health, service).await, Ok(expected), "{service}");
    }
    let liveness = check(health, LIVENESS).await;
    assert_eq!(liveness, Ok(ServingStatus::Serving), "it answers");
}

#[tokio::test]
async fn services_are_serving_only_while_the_process_is_ready() {
    let health = Health::new([ROOM.to_owned()]).await;
    all_are(&health, ServingStatus::NotServing).await;
    assert_eq!(health.why_not(), ["it starts"]);
    health.set_ready().await;
    all_are(&health, ServingStatus::Serving).await;
    assert!(health.is_ready());
    health.report(vec!["it stops".to_owned()]).await;
    all_are(&health, ServingStatus::NotServing).await;
    assert_eq!(health.why_not(), ["it stops"]);
    assert_eq!(check(&health, "other").await, Err(Code::NotFound));
}
