//! How e-mails fare.

use berth::{
    message::v1::{Channel, Delivery, DeliveryStatus, MessageSent},
    reservation::v1::{Reservation, ReservationApproved, ReservationStatus},
};
use chassis::base::time::SignedDuration;

use crate::{
    smtp::{Mood, Server},
    stage::{GUEST, Stage, reservation},
};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The customer is notified about a reservation with this title.
async fn tell(stage: &Stage, title: &str) {
    let event = ReservationApproved {
        reservation: Some(Reservation {
            title: title.into(),
            ..reservation(ReservationStatus::Approved)
        }),
        payment_method: String::new(),
    };
    stage.happens("", &event).await;
}

/// How far the e-mail of the customer's newest message is; UNSPECIFIED if there is none.
async fn email(stage: &Stage) -> (DeliveryStatus, String) {
    let message = stage.inbox(GUEST).await.remove(0);
    let mut deliveries = message.deliveries.into_iter();
    let inbox = Delivery {
        channel: Channel::Inbox.into(),
        status: DeliveryStatus::Delivered.into(),
        reason: String::new(),
    };
    assert_eq!(deliveries.next(), Some(inbox));
    let email = deliveries.next().unwrap_or_default();
    (email.status(), email.reason)
}

#[tokio::test]
async fn an_email_is_sent_to_the_members_address() {
    let server = Server::open(&[]).await;
    let stage = Stage::set(&server.url).await;
    stage.joins(GUEST, "guest@example.com").await;
    tell(&stage, "Sea view").await;
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Delivered, String::new())
    );
    assert_eq!(stage.published::<MessageSent>().await, 1);
    let mail = server.mails().remove(0);
    assert_eq!(mail.to, ["RCPT TO:<guest@example.com>"]);
    assert!(
        mail.data
            .contains(&"Subject: Reservation approved: Sea view".to_owned())
    );
    assert!(
        mail.data
            .contains(&"The host has agreed. 240.00 EUR is being charged now.".to_owned())
    );
    // Nothing more is sent however much time passes.
    stage.after(MINUTE * 60).await;
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_title_cannot_add_to_the_headers() {
    let server = Server::open(&[]).await;
    let stage = Stage::set(&server.url).await;
    stage.joins(GUEST, "guest@example.com").await;
    tell(
        &stage,
        "Café am See\r\nBcc: all@example.com\r\n\r\nfree beer\r\n.\r\nMAIL FROM:<x@example.com> 海",
    )
    .await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].to, ["RCPT TO:<guest@example.com>"]);
    let head = mails[0].data.split(String::is_empty).next().unwrap();
    assert!(
        head.iter()
            .all(|line| !line.starts_with("Bcc") && line.is_ascii()),
        "{head:?}"
    );
    assert!(
        head.iter()
            .any(|line| line.starts_with("Subject: ") && line.contains("=?utf-8?")),
        "{head:?}"
    );
}

#[tokio::test]
async fn a_busy_or_missing_server_is_retried() {
    let server = Server::open(&[Mood::Busy, Mood::Gone]).await;
    let stage = Stage::set(&server.url).await;
    stage.joins(GUEST, "guest@example.com").await;
    tell(&stage, "Sea view").await;
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Pending, "SMTP_451".into())
    );
    stage.settle().await;
    assert_eq!(server.moods_left(), 1, "it waits before it tries again");
    stage.after(SignedDuration::from_secs(5)).await;
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Pending, "NO_ANSWER".into())
    );
    assert_eq!(stage.published::<MessageSent>().await, 0);
    stage.after(SignedDuration::from_secs(10)).await;
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Delivered, String::new())
    );
    assert_eq!(
        (server.mails().len(), stage.published::<MessageSent>().await),
        (1, 1)
    );
}

#[tokio::test]
async fn an_email_to_a_missing_mailbox_is_given_up() {
    let server = Server::open(&[Mood::Strict]).await;
    let stage = Stage::set(&server.url).await;
    stage.joins(GUEST, "guest@example.com").await;
    tell(&stage, "Sea view").await;
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Failed, "SMTP_550".into())
    );
    assert_eq!(
        (server.mails().len(), stage.published::<MessageSent>().await),
        (0, 1)
    );
}

#[tokio::test]
async fn an_email_is_given_up_when_the_server_stays_unavailable() {
    let server = Server::open(&[Mood::Gone; 20]).await;
    let stage = Stage::set(&server.url).await;
    stage.joins(GUEST, "guest@example.com").await;
    tell(&stage, "Sea view").await;
    for _ in 0..20 {
        stage.after(MINUTE * 60).await;
    }
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Failed, "NO_ANSWER".into())
    );
    assert_eq!(server.moods_left(), 20 - 12);
}

#[tokio::test]
async fn an_address_that_arrives_late_is_used() {
    let server = Server::open(&[]).await;
    let stage = Stage::set(&server.url).await;
    tell(&stage, "Sea view").await;
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Pending, "NO_ADDRESS".into())
    );
    stage.joins(GUEST, "guest@example.com").await;
    stage.after(MINUTE).await;
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Delivered, String::new())
    );
}

#[tokio::test]
async fn without_an_address_or_a_server_the_message_is_only_in_the_inbox() {
    let server = Server::open(&[]).await;
    for url in ["", &server.url] {
        let stage = Stage::set(url).await;
        tell(&stage, "Sea view").await;
        for _ in 0..3 {
            stage.after(MINUTE).await;
        }
        assert_eq!(
            email(&stage).await,
            (DeliveryStatus::Unspecified, String::new())
        );
        assert_eq!(stage.published::<MessageSent>().await, 1);
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn an_email_that_is_sent_twice_has_the_same_id() {
    let server = Server::open(&[Mood::Busy]).await;
    let stage = Stage::set(&server.url).await;
    stage.joins(GUEST, "guest@example.com").await;
    tell(&stage, "Sea view").await;
    // The second attempt works, but the commit that would note it fails.
    stage.site.deps.faults.arm("store.commit", 1);
    stage.after(SignedDuration::from_secs(5)).await;
    assert_eq!(server.mails().len(), 1);
    assert_eq!(stage.published::<MessageSent>().await, 0);
    stage.after(MINUTE).await;
    assert_eq!(
        email(&stage).await,
        (DeliveryStatus::Delivered, String::new())
    );
    let ids: Vec<_> = server
        .mails()
        .iter()
        .flat_map(|mail| mail.data.clone())
        .filter(|line| line.starts_with("Message-ID: "))
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}
