//! The settings of the context.

use std::{fmt, str::FromStr, time::Duration};

use clap::Args;
use lettre::{AsyncSmtpTransport, Tokio1Executor, message::Mailbox, transport::smtp};

/// How long the mail server may take to accept an e-mail.
pub(crate) const SMTP_TIMEOUT: Duration = Duration::from_secs(30);

/// How e-mail is sent.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Mail server: `smtps://user:password@host`, or `smtp://…?tls=required` for STARTTLS. Empty: no e-mail is sent.
    #[arg(
        long,
        env = "BERTH_SMTP_URL",
        default_value = "",
        hide_env_values = true
    )]
    smtp_url: MailServer,
    /// Sender of e-mails, for example `Berth <berth@example.com>`.
    #[arg(
        long,
        env = "BERTH_MAIL_FROM",
        default_value = "Berth <berth@localhost>"
    )]
    mail_from: Mailbox,
}

impl Settings {
    /// The mail server; none if no e-mail is sent.
    pub(crate) fn server(&self) -> Option<&AsyncSmtpTransport<Tokio1Executor>> {
        self.smtp_url.0.as_ref()
    }

    /// The sender of every e-mail.
    pub(crate) fn sender(&self) -> Mailbox {
        self.mail_from.clone()
    }
}

/// A mail server, if there is one. Its URL may hold a password and is not shown.
#[derive(Clone)]
struct MailServer(Option<AsyncSmtpTransport<Tokio1Executor>>);

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "set" } else { "none" })
    }
}

impl FromStr for MailServer {
    type Err = smtp::Error;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if url.is_empty() {
            return Ok(Self(None));
        }
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?;
        Ok(Self(Some(builder.timeout(Some(SMTP_TIMEOUT)).build())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_mail_server_is_validated_and_never_shown() {
        let server: MailServer = "smtps://berth:s3cret@mail.example.com".parse().unwrap();
        assert_eq!(format!("{server:?}"), "set");
        assert!("mail.example.com".parse::<MailServer>().is_err());
        assert!("http://mail.example.com".parse::<MailServer>().is_err());
    }
}
