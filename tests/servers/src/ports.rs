//! Ports that stay free while their server is down.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Context, Result};

/// Below the ephemeral ports: an outgoing connection could otherwise get the port of a server that is down.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// A port of this machine that is free and not ephemeral.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Every process begins at another port, so that concurrent processes find different ports.
    let begin = process::id().wrapping_mul(97) % u32::from(COUNT);
    let begin = u16::try_from(begin).unwrap_or(0);
    (0..COUNT)
        .map(|_| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            FIRST + (begin + next) % COUNT
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no port is free")
}
