//! The log filter on the admin port: who may read and change it, and what it may be.

use std::{net::SocketAddr, time::Instant};

use berth::{common::v1::Role, member::v1::member_service_server::MemberServiceServer};
use chassis::telemetry::LogFilter;
use chassis::{Clock, Context, base::clock::ManualClock, runtime::options::Options};
use chassis_testing::noon;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::service::Routes;

use crate::platform::{ADMIN, CUSTOMER, Contexts, token, trust_response};
use crate::stage::MOMENT;

/// A process with a log filter, and `member`, whose tokens it trusts.
struct Process {
    platform: chassis::Platform,
    _dir: tempfile::TempDir,
}

impl Process {
    async fn start(filter: LogFilter) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::in_dir(dir.path());
        options.clock = Clock::Manual(ManualClock::new(noon()));
        options.log = Some(filter);
        let members = Contexts::default();
        *members.trust.lock().unwrap() = trust_response();
        let member = Context::named("member")
            .routes(move |_| Routes::new(MemberServiceServer::new(members.clone())));
        let platform = chassis::Platform::start(vec![member], options).await;
        Self {
            platform: platform.unwrap(),
            _dir: dir,
        }
    }

    /// The response to a request with these headers.
    async fn http(&self, method: &str, headers: &[(&str, &str)], body: &str) -> String {
        exchange(self.platform.admin(), method, headers, body).await
    }
}

async fn exchange(to: SocketAddr, method: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let given = headers.iter().filter(|(_, value)| !value.is_empty());
    let lines: Vec<String> = given
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let head = lines.concat();
    let text = format!("{method} /log HTTP/1.1\r\ncontent-length: {length}\r\n{head}\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(MOMENT, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn an_admin_changes_the_log_filter_while_it_runs() {
    let (layer, filter) = LogFilter::layer("info").unwrap();
    let process = Process::start(filter).await;
    let here = [("host", "127.0.0.1:8081")];
    let read = process.http("GET", &here, "").await;
    assert!(read.ends_with("\r\n\r\ninfo\n"), "{read}");
    let bearer = format!("Bearer {}", token(ADMIN, &[Role::Admin]));
    let allowed = [
        ("host", "localhost:8081"),
        ("content-type", "text/plain"),
        ("authorization", &bearer),
    ];
    let changed = process.http("PUT", &allowed, "warn,view=debug").await;
    assert!(changed.starts_with("HTTP/1.1 200"), "{changed}");
    let read = process.http("GET", &here, "").await;
    assert!(read.contains("view=debug"), "{read}");
    for (wrong, code) in [
        ("loud", "400"),
        ("", "400"),
        ("warn,view=loud", "400"),
        ("[span{field=(a|b)*a(a|b)(a|b)}]=debug", "400"),
        ("view[{field}]=debug", "400"),
        ("warn,", "400"),
        (&"x".repeat(1025), "413"),
    ] {
        let refused = process.http("PUT", &allowed, wrong).await;
        let status = format!("HTTP/1.1 {code}");
        assert!(refused.starts_with(&status), "{wrong}: {refused}");
    }
    let read = process.http("GET", &here, "").await;
    assert!(read.contains("view=debug"), "{read}");
    drop(layer);
}

#[tokio::test]
async fn nobody_else_changes_the_log_filter() {
    let (layer, filter) = LogFilter::layer("info").unwrap();
    let process = Process::start(filter).await;
    let admin = format!("Bearer {}", token(ADMIN, &[Role::Admin]));
    let customer = format!("Bearer {}", token(CUSTOMER, &[Role::Customer]));
    let allowed = [
        ("host", "[::1]:8081"),
        ("content-type", "text/plain"),
        ("authorization", &admin),
        ("origin", ""),
    ];
    for (name, value, code) in [
        ("host", "", "403"),
        ("host", "evil.example:8081", "403"),
        ("host", "localhost.evil.example", "403"),
        ("content-type", "", "415"),
        ("content-type", "application/x-www-form-urlencoded", "415"),
        ("authorization", "", "401"),
        ("authorization", "Bearer x", "401"),
        ("authorization", &customer, "401"),
        ("origin", "http://evil.example", "403"),
        ("origin", "null", "403"),
    ] {
        let request = allowed.map(|(given, is)| (given, if given == name { value } else { is }));
        let refused = process.http("PUT", &request, "trace").await;
        let status = format!("HTTP/1.1 {code}");
        assert!(refused.starts_with(&status), "{name} {value}: {refused}");
    }
    // The browser of somebody who reads a page must not read the filter for that page either.
    let rebound = process.http("GET", &[("host", "evil.example")], "").await;
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    let posted = process.http("POST", &allowed, "trace").await;
    assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
    let read = process.http("GET", &allowed[..1], "").await;
    assert!(read.ends_with("info\n"), "{read}");
    drop(layer);
}

#[test]
fn a_change_of_the_log_filter_is_announced_before_it_applies() {
    let (layer, filter) = LogFilter::layer("info").unwrap();
    let before = || assert_eq!(filter.get().unwrap(), "info");
    filter.set("off", before).unwrap();
    assert_eq!(filter.get().unwrap(), "off");
    let invalid = filter.set("loud", || panic!("announced"));
    invalid.unwrap_err();
    drop(layer);
}

/// Whatever a filter says, it is read and applied in no time.
#[test]
fn a_log_filter_has_no_patterns() {
    let (layer, filter) = LogFilter::layer("info").unwrap();
    let began = Instant::now();
    let pattern = format!("[x{{a=(a|b)*a{}}}]=trace", "(a|b)".repeat(18));
    filter.set(&pattern, || {}).unwrap_err();
    let longest = vec!["a=off"; 170].join(",");
    filter.set(&longest, || {}).unwrap();
    assert!(began.elapsed().as_secs() < 1);
    drop(layer);
}
