//! The job of a message: its e-mail.
//!
//! After a crash it may run again although the e-mail was sent, so an e-mail may arrive twice; both have the same
//! `Message-ID`, by which a mailbox recognises the duplicate.

use chassis::{Aggregate, Cause, Deps, RetryLater, Timestamp, Versioned};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp,
};

use crate::{
    domain::{Command, Message, MessageId},
    settings::{self, Settings},
    views,
};

/// Sends the e-mail of a message if it is due, and records the outcome.
pub(crate) async fn send(deps: Deps, id: MessageId) -> Result<(), RetryLater> {
    let Some(message) = deps.store.load::<Message>(id).await? else {
        return Ok(());
    };
    if message.state.due().is_none_or(|due| due > deps.clock.now()) {
        return Ok(());
    }
    let settings = deps.settings::<Settings>();
    let command = match settings.server() {
        None => Command::LeaveEmailOut,
        Some(server) => match views::address(&deps.store, message.state.content.recipient).await? {
            None => Command::AddressUnknown,
            Some(address) => {
                let from = settings.sender();
                outcome(deliver(server, from, &address, id, &message).await)
            }
        },
    };
    let cause = Cause::by(format!("service:{}", deps.store.context()));
    deps.store.execute::<Message>(id, command, &cause).await?;
    Ok(())
}

/// Why an e-mail was not sent.
enum Undelivered {
    /// Permanent: the address or the content cannot be sent.
    Unsendable,
    Smtp(smtp::Error),
    NoAnswer,
}

fn outcome(delivered: Result<(), Undelivered>) -> Command {
    let (reason, permanent) = match delivered {
        Ok(()) => return Command::EmailDelivered,
        Err(Undelivered::Unsendable) => ("UNSENDABLE".to_owned(), true),
        Err(Undelivered::NoAnswer) => ("NO_ANSWER".to_owned(), false),
        Err(Undelivered::Smtp(error)) => {
            tracing::warn!(error = %error, "e-mail not delivered");
            let reason = error
                .status()
                .map_or_else(|| "NO_ANSWER".to_owned(), |code| format!("SMTP_{code}"));
            (reason, error.is_permanent())
        }
    };
    Command::EmailFailed { reason, permanent }
}

async fn deliver(
    server: &AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: &str,
    id: MessageId,
    message: &Versioned<Message>,
) -> Result<(), Undelivered> {
    let email = write(from, to, id, message).ok_or(Undelivered::Unsendable)?;
    match tokio::time::timeout(settings::SMTP_TIMEOUT, server.send(email)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Undelivered::Smtp(error)),
        Err(_) => Err(Undelivered::NoAnswer),
    }
}

/// The e-mail; none if there is no such address.
fn write(
    from: Mailbox,
    to: &str,
    id: MessageId,
    message: &Versioned<Message>,
) -> Option<lettre::Message> {
    let to: Address = to.parse().ok()?;
    let message_id = format!("<{id}@{}>", from.email.domain());
    let by_machine = HeaderName::new_from_ascii_str("Auto-Submitted");
    lettre::Message::builder()
        .from(from)
        .to(Mailbox::new(None, to))
        .date(at(message.created))
        .message_id(Some(message_id))
        .subject(message.state.content.subject.as_str())
        .raw_header(HeaderValue::new(by_machine, "auto-generated".to_owned()))
        .header(ContentType::TEXT_PLAIN)
        .body(message.state.content.text.clone())
        .ok()
}

fn at(time: Timestamp) -> std::time::SystemTime {
    time.into()
}

#[cfg(test)]
mod tests {
    use chassis::{MemberId, ReservationId};
    use chassis_testing::noon;

    use super::*;
    use crate::domain::{Email, content::Content};

    fn email(subject: &str, to: &str) -> Option<String> {
        let content = Content {
            recipient: MemberId::from_u128(1),
            reservation: ReservationId::from_u128(7),
            event_type: String::new(),
            subject: subject.into(),
            text: "Grüße\n.\nend".into(),
        };
        let state = Message {
            content,
            email: Email::Delivered,
            read: false,
        };
        let message = Versioned {
            state,
            version: 1,
            created: noon(),
            updated: noon(),
        };
        let from = "Berth <berth@example.com>".parse().unwrap();
        let id = MessageId::from_u128(9);
        write(from, to, id, &message).map(|email| String::from_utf8(email.formatted()).unwrap())
    }

    fn headers(email: &str) -> Vec<&str> {
        let (head, _) = email.split_once("\r\n\r\n").unwrap();
        head.split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .collect()
    }

    #[test]
    fn line_breaks_in_a_subject_add_no_header() {
        let plain = headers(&email("Hello", "guest@example.com").unwrap()).len();
        for subject in [
            "Sea\r\nBcc: all@example.com",
            "Sea\nBcc: all@example.com",
            "Sea\r\n\r\nbody",
            "Meerblick für zwei \u{1F30A}\r\nX: y",
        ] {
            let email = email(subject, "guest@example.com").unwrap();
            assert_eq!(headers(&email).len(), plain, "{email}");
            assert!(
                !email.contains("\nBcc:") && !email.contains("\nX:"),
                "{email}"
            );
        }
    }

    #[test]
    fn an_address_adds_no_recipient() {
        for to in [
            "",
            "guest",
            "a@example.com\r\nBcc: b@example.com",
            "a@x, b@x",
        ] {
            assert_eq!(email("Hello", to), None, "{to:?}");
        }
    }

    #[test]
    fn an_email_has_the_id_and_the_time_of_its_message() {
        let email = email("Hello", "guest@example.com").unwrap();
        assert!(
            email.contains("Message-ID: <00000000-0000-0000-0000-000000000009@example.com>\r\n")
        );
        assert!(email.contains("Date: Mon, 01 Mar 2027 12:00:00 +0000\r\n"));
    }
}
