//! NATS.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use servers::{Nats, NatsOptions};

use crate::{exists, runs};

/// Sends a request over the NATS protocol and returns the reply.
fn ask(url: &str, subject: &str, body: &str) -> String {
    let stream = TcpStream::connect(url.strip_prefix("nats://").unwrap()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut output = stream.try_clone().unwrap();
    let length = body.len();
    write!(
        output,
        "CONNECT {{}}\r\nSUB answer 1\r\nPUB {subject} answer {length}\r\n{body}\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.find(|line| line.starts_with("MSG answer")).unwrap();
    lines.next().unwrap()
}

fn make_stream(nats: &Nats) -> String {
    let config = r#"{"name":"tale","subjects":["tale.>"]}"#;
    ask(&nats.url(), "$JS.API.STREAM.CREATE.tale", config)
}

fn streams(nats: &Nats) -> String {
    ask(&nats.url(), "$JS.API.STREAM.NAMES", "")
}

#[test]
fn streams_survive_a_kill_and_a_pause_but_not_a_wipe() {
    let mut nats = Nats::start(NatsOptions::default()).unwrap();
    let made = make_stream(&nats);
    assert!(made.contains("\"created\""), "{made}");
    let first = nats.pid().unwrap();
    nats.kill().unwrap();
    assert!(!runs(first) && nats.pid().is_none());
    assert!(TcpStream::connect(nats.url().strip_prefix("nats://").unwrap()).is_err());
    nats.restart().unwrap();
    assert!(streams(&nats).contains("tale"));

    nats.pause().unwrap();
    let url = nats.url();
    let request = std::thread::spawn(move || ask(&url, "$JS.API.STREAM.NAMES", ""));
    nats.resume().unwrap();
    assert!(request.join().unwrap().contains("tale"));

    nats.wipe().unwrap();
    nats.restart().unwrap();
    assert!(!streams(&nats).contains("tale"));
}

#[test]
fn nothing_is_left_behind() {
    let nats = Nats::start(NatsOptions::default()).unwrap();
    let (pid, dir) = (nats.pid().unwrap(), nats.dir().to_owned());
    assert!(runs(pid) && exists(&dir));
    drop(nats);
    assert!(!runs(pid) && !exists(&dir));
}

#[test]
fn an_invalid_flag_is_reported() {
    let options = NatsOptions {
        flags: vec!["--config".into(), "/nowhere".into()],
        ..NatsOptions::default()
    };
    let error = Nats::start(options).unwrap_err().to_string();
    assert!(error.contains("/nowhere"), "{error}");
}
