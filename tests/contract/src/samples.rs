//! A sample of every event, generated from the contract: every field has a plausible value.
use anyhow::{Context, Result};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage,
    SerializeOptions, Value,
};
use uuid::Uuid;

use crate::contracts::snake;

/// Ids with two names.
const SAME: &[(&str, &str)] = &[
    ("author_id", "customer_id"),
    ("offer_id", "room_id"),
    ("owner_id", "host_id"),
    ("payment_id", "reservation_id"),
    ("recipient_id", "customer_id"),
];

/// Texts with a format of their own.
const TEXTS: &[(&str, &str)] = &[
    ("currency_code", "EUR"),
    ("email", "guest@example.com"),
    ("event_type", "berth.reservation.v1.ReservationConfirmed"),
    ("payment_method", "tok_approved"),
    ("time_zone", "Europe/Paris"),
];

/// States after an event whose name does not contain the state.
const STATES: &[(&str, &str)] = &[
    ("ConfirmationMissed", "LAPSED"),
    ("MessageSent", "DELIVERED"),
    ("PaymentApproved", "PAID"),
    ("PaymentCancelled", "REFUNDED"),
];

/// Noon of the day on which the samples happen.
const NOON: i64 = 1_907_755_200;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A sample of an event.
pub fn sample(event: &MessageDescriptor) -> DynamicMessage {
    Sampler(event.name().to_owned()).message(event, "")
}

/// A sample as JSON, in the mapping of the contract.
pub fn json(sample: &DynamicMessage) -> Result<String> {
    let mut text = Vec::new();
    let mut writer = serde_json::Serializer::pretty(&mut text);
    sample.serialize_with_options(&mut writer, &SerializeOptions::new())?;
    Ok(String::from_utf8(text)? + "\n")
}

/// The subject of an event: its first id.
pub fn subject(sample: &DynamicMessage) -> Result<String> {
    let first = sample.get_field_by_number(1).context("no field 1")?;
    match &*first {
        Value::Message(inner) => subject(inner),
        Value::String(id) => Ok(id.clone()),
        _ => anyhow::bail!("field 1 is no id"),
    }
}

/// Every field of a sample has a value that is not the default; of a oneof, one field has.
pub fn filled(sample: &DynamicMessage) -> Vec<String> {
    let mut empty = Vec::new();
    for field in sample.descriptor().fields() {
        let chosen = || {
            let choice = field.containing_oneof();
            choice.is_some_and(|choice| choice.fields().any(|other| sample.has_field(&other)))
        };
        if !sample.has_field(&field) && !chosen() && is_ours(field.parent_message()) {
            empty.push(format!("{}: is empty", field.full_name()));
        }
        match &*sample.get_field(&field) {
            Value::Message(inner) if sample.has_field(&field) => empty.extend(filled(inner)),
            Value::List(list) => {
                let inner = list.iter().filter_map(Value::as_message);
                empty.extend(inner.flat_map(filled));
            }
            _ => {}
        }
    }
    empty
}

fn is_ours(message: &MessageDescriptor) -> bool {
    message.package_name().starts_with("berth.")
}

/// Generates the sample of the event with this name.
struct Sampler(String);

impl Sampler {
    fn message(&self, message: &MessageDescriptor, role: &str) -> DynamicMessage {
        let mut sample = DynamicMessage::new(message.clone());
        let mut set = |values: &[(&str, Value)]| {
            for (name, value) in values {
                sample.set_field_by_name(name, value.clone());
            }
        };
        match message.full_name() {
            "google.protobuf.Timestamp" => set(&[("seconds", Value::I64(instant(role)))]),
            "google.type.Date" => set(&[
                ("year", Value::I32(2030)),
                ("month", Value::I32(6)),
                (
                    "day",
                    Value::I32(if role.starts_with("end") { 17 } else { 15 }),
                ),
            ]),
            "google.type.TimeOfDay" => {
                let hours = if role.contains("out") { 11 } else { 15 };
                set(&[("hours", Value::I32(hours))]);
            }
            "google.type.Money" => set(&[
                ("currency_code", Value::String("EUR".into())),
                ("units", Value::I64(120)),
                ("nanos", Value::I32(500_000_000)),
            ]),
            _ => {
                for field in message.fields() {
                    let choice = field.containing_oneof();
                    let others = choice.into_iter().flat_map(|choice| {
                        let fields: Vec<_> = choice.fields().collect();
                        fields
                    });
                    if others.into_iter().any(|other| sample.has_field(&other)) {
                        continue;
                    }
                    sample.set_field(&field, self.value(&field));
                }
            }
        }
        sample
    }

    fn value(&self, field: &FieldDescriptor) -> Value {
        let name = field.name();
        let one = match field.kind() {
            Kind::Message(message) => Value::Message(self.message(&message, name)),
            Kind::Enum(kind) => Value::EnumNumber(self.state(&kind)),
            Kind::String => Value::String(text(name)),
            Kind::Bytes => Value::Bytes(name.as_bytes().to_vec().into()),
            Kind::Bool => Value::Bool(true),
            Kind::Double => Value::F64(4.5),
            Kind::Float => Value::F32(4.5),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(1),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(1),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(1),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(1),
        };
        if field.is_list() {
            Value::List(vec![one])
        } else {
            one
        }
    }

    /// The value that the name of the event ends with, `CANCEL_REQUESTED` for `ReservationCancelRequested`; else the
    /// first one that is not 0.
    fn state(&self, kind: &EnumDescriptor) -> i32 {
        let Self(event) = self;
        let known = STATES.iter().find(|(name, _)| name == event);
        let says = known.map_or_else(|| snake(event).to_uppercase(), |(_, state)| (*state).into());
        let prefix = snake(kind.name()).to_uppercase() + "_";
        let fitting = kind.values().filter(|value| {
            let state = value.name().strip_prefix(&prefix);
            state.is_some_and(|state| says.ends_with(state))
        });
        fitting
            .max_by_key(|value| value.name().len())
            .or_else(|| kind.values().find(|value| value.number() != 0))
            .map_or(0, |value| value.number())
    }
}

fn text(name: &str) -> String {
    if name.ends_with("_id") {
        let same = SAME.iter().find(|(alias, _)| *alias == name);
        let name = same.map_or(name, |(_, name)| name);
        return Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
    }
    let known = TEXTS.iter().find(|(known, _)| *known == name);
    known.map_or_else(|| name.replace('_', " "), |(_, text)| (*text).to_owned())
}

fn instant(role: &str) -> i64 {
    match role {
        "create_time" => NOON,
        "update_time" => NOON + 60,
        "start_time" => NOON + DAY,
        "end_time" => NOON + DAY + HOUR,
        _ => NOON + HOUR,
    }
}
