//! A tiny mail server on this machine, that follows a script.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What the server does with one connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// Takes the e-mail.
    Kind,
    /// Says "try again later".
    Busy,
    /// Says that there is no such mailbox.
    Strict,
    /// Hangs up at once.
    Gone,
}

/// An e-mail as it came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    pub(crate) data: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    mails: Arc<Mutex<Vec<Mail>>>,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Opens a server with a mood for each of the first connections; it is kind to the others.
    pub(crate) async fn open(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let mails = Arc::<Mutex<Vec<Mail>>>::default();
        let moods = Arc::new(Mutex::new(VecDeque::from(moods.to_vec())));
        let (kept, left) = (mails.clone(), moods.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mood = left.lock().unwrap().pop_front().unwrap_or(Mood::Kind);
                if let Some(mail) = converse(stream, mood).await {
                    kept.lock().unwrap().push(mail);
                }
            }
        });
        Self {
            url,
            mails,
            moods,
            _tasks: tasks,
        }
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    /// How many moods are left.
    pub(crate) fn moods_left(&self) -> usize {
        self.moods.lock().unwrap().len()
    }
}

/// One conversation; answers the e-mail if it was taken.
async fn converse(stream: TcpStream, mood: Mood) -> Option<Mail> {
    if mood == Mood::Gone {
        return None;
    }
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let (mut mail, mut in_data, mut taken) = (Mail::default(), false, None);
    writer.write_all(b"220 test ESMTP\r\n").await.ok()?;
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = if in_data {
            if line == "." {
                in_data = false;
                taken = Some(mail.clone());
                "250 taken\r\n"
            } else {
                let line = line.strip_prefix('.').unwrap_or(&line);
                mail.data.push(line.to_owned());
                continue;
            }
        } else if line.starts_with("RCPT TO:") {
            mail.to.push(line);
            match mood {
                Mood::Busy => "451 try again later\r\n",
                Mood::Strict => "550 no such mailbox\r\n",
                Mood::Kind | Mood::Gone => "250 ok\r\n",
            }
        } else if line == "DATA" {
            in_data = true;
            "354 go on\r\n"
        } else if line == "QUIT" {
            writer.write_all(b"221 bye\r\n").await.ok()?;
            break;
        } else {
            "250 ok\r\n"
        };
        writer.write_all(answer.as_bytes()).await.ok()?;
    }
    taken
}
