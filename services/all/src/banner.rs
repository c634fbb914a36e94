//! The banner after the start: the contexts, the addresses, and commands to try next.

use std::{path::Path, time::Duration};

use chassis::Platform;

/// Prints the banner.
#[expect(clippy::print_stdout, reason = "the banner is for the terminal")]
pub(crate) fn show(platform: &Platform, data_dir: &Path, ephemeral: bool, took: Duration) {
    let names: Vec<&str> = platform
        .contexts()
        .iter()
        .map(|site| site.context.name)
        .collect();
    let (public, admin) = (platform.public(), platform.admin());
    // The path of this call, because the binary may not be on the search path.
    let berth = std::env::args().next().unwrap_or_else(|| "berth".into());
    let kept = if ephemeral {
        ", removed at the end"
    } else {
        ""
    };
    println!(
        "Berth {version} is ready after {took} ms.

  contexts  {names}
  gRPC      {public}   (reflection and health included)
  admin     {admin}   (health, metrics, log filter, event logs)
  data      {data}{kept}

Try next:

  {berth} demo --server http://{public}
  {berth} doctor --admin berth=http://{admin} --data-dir {data}
  grpcurl -plaintext {public} list
  grpcurl -plaintext {public} grpc.health.v1.Health/Check
  buf curl --protocol grpc --http2-prior-knowledge --list-methods http://{public}
  curl http://{admin}/metrics
  curl http://{admin}/log

Ctrl-C stops it; current requests are finished first.",
        version = env!("CARGO_PKG_VERSION"),
        took = took.as_millis(),
        names = names.join(", "),
        data = data_dir.display(),
    );
}
