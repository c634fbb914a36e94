//! `berth demo`: succeeds on a healthy platform and reports unexpected responses.

use std::{io::Read, net::TcpListener, process::Output};

use crate::berth::{Berth, command};

fn demo(server: &str) -> Output {
    command(&["demo", "--server", server]).output().unwrap()
}

fn parts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn the_demo_succeeds_repeatedly() {
    let dir = tempfile::tempdir().unwrap();
    let berth = Berth::start(dir.path(), &["--ephemeral"]);
    for _ in 0..2 {
        let (code, out, err) = parts(&demo(&format!("http://{}", berth.public)));
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(out.contains("steps returned the expected results"), "{out}");
        assert!(!out.contains('✗'), "{out}");
    }
}

#[test]
fn the_demo_calls_each_context_at_its_own_address() {
    let dir = tempfile::tempdir().unwrap();
    let berth = Berth::start(dir.path(), &["--ephemeral"]);
    let contexts = all::contexts();
    let servers = contexts
        .iter()
        .map(|context| format!("{}=http://{}", context.name, berth.public));
    let mut servers: Vec<String> = servers.collect();
    let (code, out, err) = parts(&demo(&servers.join(",")));
    assert_eq!(code, Some(0), "{out}{err}");

    servers.retain(|server| !server.starts_with("room="));
    let (code, out, _) = parts(&demo(&servers.join(",")));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("has no URL for this service"), "{out}");
}

#[test]
fn an_unexpected_response_fails_the_demo() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--ephemeral", "--max-reservation-per-person", "9"];
    let berth = Berth::start(dir.path(), &flags);
    let (code, out, err) = parts(&demo(&format!("http://{}", berth.public)));
    assert_eq!(code, Some(1), "{out}");
    let wrong = "✗ refused: TOO_MANY_RESERVATIONS";
    assert!(
        out.contains(wrong) && out.contains("expected: 10 ×"),
        "{out}"
    );
    assert!(err.contains("did not return the expected result"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn a_dead_server_is_reported_on_one_line() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let (code, out, err) = parts(&demo(&url));
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1));
    assert!(err.contains(&url) && err.contains("--server"), "{err}");
}

#[test]
fn a_server_with_another_protocol_is_reported() {
    let other_server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other_server.local_addr().unwrap());
    // Reads something and hangs up.
    let hangs_up = std::thread::spawn(move || {
        let (mut stream, _) = other_server.accept().unwrap();
        stream.read_exact(&mut [0; 1]).unwrap();
    });
    let (code, out, err) = parts(&demo(&url));
    hangs_up.join().unwrap();
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn an_invalid_url_is_reported_on_one_line() {
    for url in [
        "",
        "nowhere",
        "127.0.0.1:8080",
        "https://berth.example",
        "http://",
        "room=nowhere",
        "room=https://berth.example",
        "room=http://127.0.0.1:8080,view",
    ] {
        let (code, _, err) = parts(&demo(url));
        assert_eq!((code, err.lines().count()), (Some(64), 1), "{url}: {err}");
        assert!(err.contains("--server"), "{url}: {err}");
    }
}
