//! Are the stories as they should be, and is it noticed when they are not?

use std::{io::Read, net::TcpListener, process::Output};

use crate::berth::{Berth, command};

fn demo(server: &str) -> Output {
    command(&["demo", "--server", server]).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn every_step_of_the_demo_is_as_it_should_be_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let berth = Berth::start(dir.path(), &["--ephemeral"]);
    for _ in 0..2 {
        let (code, out, err) = told(&demo(&format!("http://{}", berth.public)));
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(out.contains("steps are as they should be"), "{out}");
        assert!(!out.contains('✗'), "{out}");
    }
}

#[test]
fn a_platform_with_another_rule_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--ephemeral", "--max-reservation-per-person", "9"];
    let berth = Berth::start(dir.path(), &flags);
    let (code, out, err) = told(&demo(&format!("http://{}", berth.public)));
    assert_eq!(code, Some(1), "{out}");
    let wrong = "✗ refused: TOO_MANY_RESERVATIONS";
    assert!(
        out.contains(wrong) && out.contains("expected: 10 ×"),
        "{out}"
    );
    assert!(err.contains("is not as it should be"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn a_server_that_is_not_there_is_told_on_one_line() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let (code, out, err) = told(&demo(&url));
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1));
    assert!(err.contains(&url) && err.contains("--server"), "{err}");
}

#[test]
fn a_server_that_speaks_something_else_is_noticed() {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", stranger.local_addr().unwrap());
    // Reads something and hangs up.
    let hangs_up = std::thread::spawn(move || {
        let (mut stream, _) = stranger.accept().unwrap();
        stream.read_exact(&mut [0; 1]).unwrap();
    });
    let (code, out, err) = told(&demo(&url));
    hangs_up.join().unwrap();
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn an_address_that_is_none_is_told_on_one_line() {
    for url in [
        "",
        "nowhere",
        "127.0.0.1:8080",
        "https://berth.example",
        "http://",
    ] {
        let (code, _, err) = told(&demo(url));
        assert_eq!((code, err.lines().count()), (Some(64), 1), "{url}: {err}");
        assert!(err.contains("--server"), "{url}: {err}");
    }
}
