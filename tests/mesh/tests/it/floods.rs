//! Floods: what a caller can do to a port who keeps to no rule. Others are served meanwhile, and memory stays bounded.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use berth::room::v1::{ListRoomsRequest, room_service_client::RoomServiceClient};
use futures::future::join_all;
use mesh::{Env, Process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::{TcpStream, tcp::OwnedWriteHalf},
    time::timeout,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a flood may cost.
const MOST_MIB: u64 = 64;
/// Longer than a flood should take.
const MOMENT: Duration = Duration::from_mins(1);

/// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// The flag of the last data of a stream.
const END_STREAM: u8 = 1;
/// The flag of headers that are whole.
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a call of `ListRooms`, none of which is to be remembered.
fn headers() -> Vec<u8> {
    headers_of("/berth.room.v1.RoomService/ListRooms")
}

fn headers_of(path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let texts = [
        (&[0x01][..], "x"),
        (&[0x04], path),
        (&[0x0f, 0x10], "application/grpc"),
        (&[0x00, 2, b't', b'e'], "trailers"),
    ];
    for (name, value) in texts {
        block.extend(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    block
}

/// The n-th stream that a caller opens.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

/// `room` alone, in a process of its own.
struct Room {
    process: Process,
    _dir: TempDir,
}

impl Room {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::new("room", "room-0", dir.path(), Env::new()).unwrap();
        process.start().await.unwrap();
        Self { process, _dir: dir }
    }

    /// Memory now and the most there ever was, in MiB.
    fn memory(&self) -> (u64, u64) {
        let pid = self.process.pid().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let read = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.unwrap().trim().trim_end_matches(" kB");
            number.parse::<u64>().unwrap() / 1024
        };
        (read("VmRSS:"), read("VmHWM:"))
    }

    /// Lists rooms as often as that is done and some more; every time it must succeed.
    async fn serves_until(&self, done: &AtomicBool) {
        let mut rooms = RoomServiceClient::new(self.process.channel().unwrap());
        let mut count = 0;
        while !done.load(Ordering::Relaxed) || count < 100 {
            rooms.list_rooms(ListRoomsRequest::default()).await.unwrap();
            count += 1;
        }
    }

    /// Serves others during a flood, and grows by no more than it may.
    async fn bears(&self, flood: impl Future<Output = ()>) {
        let done = AtomicBool::new(false);
        // What the first calls take is not the flood's.
        self.serves_until(&AtomicBool::new(true)).await;
        let before = self.memory().0;
        let flood = async {
            timeout(MOMENT, flood).await.unwrap();
            done.store(true, Ordering::Relaxed);
        };
        tokio::join!(flood, self.serves_until(&done));
        let most = self.memory().1;
        assert!(most < before + MOST_MIB, "from {before} to {most} MiB");
    }
}

/// A connection over which frames are sent; whatever is answered is not read by anybody.
async fn connect(address: SocketAddr) -> OwnedWriteHalf {
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    tokio::spawn(async move { copy(&mut read, &mut sink()).await });
    write.write_all(PREFACE).await.unwrap();
    write.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    write
}

/// Sends until the other side has had enough. Answers whether it had.
async fn send(write: &mut OwnedWriteHalf, frames: impl Iterator<Item = Vec<u8>>) -> bool {
    for frame in frames {
        if write.write_all(&frame).await.is_err() {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_streams_of_one_connection_are_not_taken() {
    let room = Room::start().await;
    let headers = headers();
    let flood = async {
        let mut write = connect(room.process.public()).await;
        let opened = (0..10_000).map(|n| frame(HEADERS, END_HEADERS, stream(n), &headers));
        send(&mut write, opened).await;
    };
    room.bears(flood).await;
}

/// Requests whose message never comes whole: they wait outside, and those who come whole pass them by.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_slow_requests_take_no_place_from_others() {
    let room = Room::start().await;
    let headers = headers();
    let flood = async {
        let many = (0..40).map(|_| async {
            let mut write = connect(room.process.public()).await;
            let opened = (0..250).map(|n| {
                let begun = frame(HEADERS, END_HEADERS, stream(n), &headers);
                [begun, frame(DATA, 0, stream(n), &[0, 0])].concat()
            });
            send(&mut write, opened).await;
            write
        });
        let held = join_all(many).await;
        room.serves_until(&AtomicBool::new(true)).await;
        drop(held);
    };
    room.bears(flood).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    let room = Room::start().await;
    let headers = headers();
    let flood = async {
        let many = (0..8).map(|_| async {
            let mut write = connect(room.process.public()).await;
            let cancel = 8_u32.to_be_bytes();
            let reset = (0..20_000).map(|n| {
                let begun = frame(HEADERS, END_HEADERS, stream(n), &headers);
                [begun, frame(RST_STREAM, 0, stream(n), &cancel)].concat()
            });
            send(&mut write, reset).await
        });
        join_all(many).await;
    };
    room.bears(flood).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_end_the_connection() {
    let room = Room::start().await;
    let headers = headers();
    let flood = async {
        let mut write = connect(room.process.public()).await;
        // A header with a long value, again and again, which would be one list of headers.
        let mut more = vec![0x00, 1, b'a', 0x7f, 0x81, 0x07];
        more.extend([b'a'; 1024]);
        let endless = (0..100_000).map(|_| frame(CONTINUATION, 0, 1, &more));
        let begun = std::iter::once(frame(HEADERS, 0, 1, &headers));
        assert!(send(&mut write, begun.chain(endless)).await);
    };
    room.bears(flood).await;
}

/// Who connects and says nothing is sent away, and has taken nothing from others until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_silent_connections_are_borne() {
    let room = Room::start().await;
    let flood = async {
        let mut silent = Vec::new();
        for _ in 0..1000 {
            silent.push(TcpStream::connect(room.process.public()).await.unwrap());
        }
        let closed = silent.into_iter().map(|mut stream| async move {
            // Whether it says why or just hangs up.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        join_all(closed).await;
    };
    room.bears(flood).await;
}

/// What each of them opens is counted, and the rest is refused.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_watches_are_not_taken() {
    let room = Room::start().await;
    let headers = headers_of("/grpc.health.v1.Health/Watch");
    let flood = async {
        let many = (0..40).map(|_| async {
            let mut write = connect(room.process.public()).await;
            let watches = (0..250).map(|n| {
                let begun = frame(HEADERS, END_HEADERS, stream(n), &headers);
                [begun, frame(DATA, END_STREAM, stream(n), &[0; 5])].concat()
            });
            send(&mut write, watches).await;
            write
        });
        let held = join_all(many).await;
        room.serves_until(&AtomicBool::new(true)).await;
        drop(held);
    };
    room.bears(flood).await;
}

/// Each byte in a frame of its own, and frames without a byte.
#[tokio::test(flavor = "multi_thread")]
async fn messages_in_the_smallest_pieces_are_borne() {
    let room = Room::start().await;
    let headers = headers();
    for piece in [&[0][..], &[]] {
        let flood = async {
            let many = (0..8).map(|_| async {
                let mut write = connect(room.process.public()).await;
                let begun = std::iter::once(frame(HEADERS, END_HEADERS, 1, &headers));
                let pieces = (0..100_000).map(|_| frame(DATA, 0, 1, piece));
                send(&mut write, begun.chain(pieces)).await
            });
            join_all(many).await;
        };
        room.bears(flood).await;
    }
}

/// Frames that ask for nothing: priorities, settings of tiny windows, and windows that grow by a byte.
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_ask_for_nothing_are_borne() {
    let room = Room::start().await;
    let window = |bytes: u8| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, bytes]);
    let floods: [&(dyn Fn(u32) -> Vec<u8> + Sync); 3] = [
        &|n| frame(PRIORITY, 0, stream(n), &[0, 0, 0, 0, 16]),
        &|n| window(u8::from(n % 2 == 0)),
        &|_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
    ];
    for frames in floods {
        let flood = async {
            let many = (0..4).map(|_| async {
                let mut write = connect(room.process.public()).await;
                send(&mut write, (0..50_000).map(frames)).await
            });
            join_all(many).await;
        };
        room.bears(flood).await;
    }
}
