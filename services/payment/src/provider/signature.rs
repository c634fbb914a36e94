//! Verifies the signature of a notification of the payment provider.

use berth::payment::v1::ReceiveNotificationRequest;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Whether the notification was signed with the secret. The comparison takes constant time.
pub(crate) fn is_right(notification: &ReceiveNotificationRequest, secret: &SecretString) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return false;
    };
    let signed = [
        &notification.notification_id,
        &notification.payment_id,
        &notification.outcome,
        &notification.provider_reference,
        &notification.reason,
    ];
    for (index, part) in signed.into_iter().enumerate() {
        if index > 0 {
            mac.update(b"|");
        }
        mac.update(part.as_bytes());
    }
    bytes(&notification.signature).is_some_and(|signature| mac.verify_slice(&signature).is_ok())
}

/// Decodes hexadecimal digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect()
}
