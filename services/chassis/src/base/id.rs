//! Ids: UUIDs with a type of their own.

/// The text is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 018f3c1a-7e2b-7c4d-9a5e-3b2f1d0c9e8a")]
pub struct NotAnId;

/// Declares an id type: `chassis::base::id! { /// A room. RoomId }`.
///
/// It is written as a hyphenated lower-case UUID and parsed from one (any case), never from the nil UUID.
#[macro_export]
macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            $crate::private::serde::Serialize, $crate::private::serde::Deserialize)]
        #[serde(transparent, crate = "chassis::private::serde")]
        pub struct $name($crate::private::uuid::Uuid);

        impl $name {
            /// From 128 bits, for derived ids.
            pub const fn from_u128(bits: u128) -> Self {
                Self($crate::private::uuid::Uuid::from_u128(bits))
            }

            /// The UUID.
            pub const fn uuid(self) -> $crate::private::uuid::Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::base::id::NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match $crate::private::uuid::Uuid::try_parse(text) {
                    Ok(uuid) if text.len() == 36 && !uuid.is_nil() => Ok(Self(uuid)),
                    _ => Err($crate::base::id::NotAnId),
                }
            }
        }

        impl From<$crate::private::uuid::Uuid> for $name {
            fn from(uuid: $crate::private::uuid::Uuid) -> Self {
                Self(uuid)
            }
        }
    )+};
}

extern crate self as chassis;

id! {
    /// A member of the platform: customer, host or operator.
    MemberId,
    /// An offer; the id of the offered resource.
    OfferId,
    /// A reservation, its payment and its review.
    ReservationId,
}
