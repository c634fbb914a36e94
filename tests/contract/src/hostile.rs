//! Invalid and hostile requests.
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};

/// The text that is put into fields for secrets.
pub const CANARY: &str = "canary-3f9a1c";

/// A request that differs from a valid one in one field.
pub struct Mutation {
    /// The difference.
    pub what: String,
    /// The request.
    pub request: DynamicMessage,
}

/// All mutations of a request: each field in turn, at every depth.
pub fn mutations(request: &DynamicMessage) -> Vec<Mutation> {
    let mut all = Vec::new();
    for field in request.descriptor().fields() {
        let mut put = |what: &str, value: Value| {
            let mut request = request.clone();
            request.set_field(&field, value);
            let what = format!("{} {what}", field.name());
            all.push(Mutation { what, request });
        };
        for (what, value) in values(&field) {
            if field.is_list() {
                put(&what, Value::List(vec![value.clone()]));
                if what != "long" {
                    put(&format!("{what}, often"), Value::List(vec![value; 1200]));
                }
            } else {
                put(&what, value);
            }
        }
        if let Kind::Message(kind) = field.kind() {
            for inner in mutations(&inside(request, &field, kind)) {
                let value = Value::Message(inner.request);
                let value = if field.is_list() {
                    Value::List(vec![value])
                } else {
                    value
                };
                put(&inner.what, value);
            }
        }
        let mut without = request.clone();
        without.clear_field(&field);
        let what = format!("{} missing", field.name());
        all.push(Mutation {
            what,
            request: without,
        });
    }
    all
}

/// The message in a field, or an empty one.
fn inside(
    request: &DynamicMessage,
    field: &FieldDescriptor,
    kind: MessageDescriptor,
) -> DynamicMessage {
    let value = request.get_field(field);
    let one = match &*value {
        Value::List(list) => list.first().and_then(Value::as_message),
        value => value.as_message(),
    };
    one.cloned().unwrap_or_else(|| DynamicMessage::new(kind))
}

/// The values that are put into a field.
fn values(field: &FieldDescriptor) -> Vec<(String, Value)> {
    match field.kind() {
        Kind::String => texts(field.name()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            let numbers = [i32::MIN, i32::MAX, -1, 0, 1_000_000_000];
            numbers.map(|n| (n.to_string(), Value::I32(n))).into()
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            let numbers = [i64::MIN, i64::MAX, -1, 0, 1 << 53];
            numbers.map(|n| (n.to_string(), Value::I64(n))).into()
        }
        Kind::Uint32 | Kind::Fixed32 => vec![("most".into(), Value::U32(u32::MAX))],
        Kind::Uint64 | Kind::Fixed64 => vec![("most".into(), Value::U64(u64::MAX))],
        Kind::Float => vec![("NaN".into(), Value::F32(f32::NAN))],
        Kind::Double => {
            let numbers = [f64::NAN, f64::INFINITY, f64::MIN, -0.0];
            numbers.map(|n| (n.to_string(), Value::F64(n))).into()
        }
        Kind::Bool => vec![("true".into(), Value::Bool(true))],
        Kind::Bytes => vec![("long".into(), Value::Bytes(vec![0xff; 100_000].into()))],
        Kind::Enum(_) => {
            let numbers = [0, 9999, -1, i32::MIN, i32::MAX];
            numbers
                .map(|n| (format!("enum {n}"), Value::EnumNumber(n)))
                .into()
        }
        Kind::Message(kind) => messages(&kind),
    }
}

fn texts(name: &str) -> Vec<(String, Value)> {
    let secret = ["password", "token", "signature", "secret", "payment_method"];
    let mut texts = vec![
        ("empty", String::new()),
        ("NUL", "a\0b".into()),
        ("long", "x".repeat(100_000)),
        ("right to left", "\u{202e}שלום\u{200f} 👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿\u{feff}".into()),
        ("SQL", "'; DROP TABLE aggregate; --".into()),
        ("path", "../../../../etc/passwd".into()),
        ("nil", "00000000-0000-0000-0000-000000000000".into()),
        ("base64", "W10".into()),
        ("fields", "*,room.room_id,a.b.c.d..,,\u{1f512}".into()),
        ("format", "%s%n{}{0}${x}\r\nx: y".into()),
    ];
    if secret.iter().any(|part| name.contains(part)) {
        texts.push(("canary", CANARY.into()));
    }
    texts
        .into_iter()
        .map(|(what, text)| (what.to_owned(), Value::String(text)))
        .collect()
}

/// Values of well-known messages, wrong in more than one field.
fn messages(kind: &MessageDescriptor) -> Vec<(String, Value)> {
    let of = |fields: &[(&str, Value)]| {
        let mut message = DynamicMessage::new(kind.clone());
        for (name, value) in fields {
            message.set_field_by_name(name, value.clone());
        }
        (format!("{message}"), Value::Message(message))
    };
    let pair = |first: &str, one, second: &str, two| of(&[(first, one), (second, two)]);
    let date = |year, month, day| {
        of(&[
            ("year", Value::I32(year)),
            ("month", Value::I32(month)),
            ("day", Value::I32(day)),
        ])
    };
    let money = |currency: &str, units, nanos| {
        of(&[
            ("currency_code", Value::String(currency.into())),
            ("units", Value::I64(units)),
            ("nanos", Value::I32(nanos)),
        ])
    };
    let moment = |seconds, nanos| pair("seconds", Value::I64(seconds), "nanos", Value::I32(nanos));
    let mut all = match kind.full_name() {
        "google.type.Date" => vec![
            date(9999, 12, 31),
            date(10_000, 1, 1),
            date(1, 1, 1),
            date(-1, -1, -1),
            date(2030, 2, 30),
            date(i32::MIN, i32::MAX, i32::MIN),
        ],
        "google.type.Money" => vec![
            money("EUR", i64::MAX, 999_999_999),
            money("EUR", i64::MIN, -999_999_999),
            money("EUR", -1, 0),
            money("EUR", 1, -1),
            money("EUR", 1, i32::MIN),
            money("EUR", 1, 1),
            money("ZZZ", 1, 0),
            money("eur", 1, 0),
            money("JPY", 1, 500_000_000),
        ],
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => vec![
            moment(253_402_300_799, 999_999_999),
            moment(253_402_300_800, 0),
            moment(-62_135_596_801, 0),
            moment(i64::MAX, i32::MAX),
            moment(i64::MIN, i32::MIN),
            moment(0, -1),
        ],
        "google.type.TimeOfDay" => vec![
            pair("hours", Value::I32(24), "minutes", Value::I32(60)),
            pair("hours", Value::I32(-1), "nanos", Value::I32(i32::MIN)),
            pair(
                "hours",
                Value::I32(i32::MAX),
                "seconds",
                Value::I32(i32::MAX),
            ),
        ],
        _ => Vec::new(),
    };
    all.push((
        "empty".into(),
        Value::Message(DynamicMessage::new(kind.clone())),
    ));
    all
}

/// Bytes that are not a message.
pub fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("one byte", vec![0xff]),
        ("zeros", vec![0; 64]),
        (
            "a field that does not end",
            vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ),
        ("a group that does not end", vec![0x0b; 200]),
        ("texts that are none", [0x0a, 0x02, 0xc3, 0x28].repeat(3)),
        ("a nest", nest()),
    ]
}

/// Nested messages, deeper than the limit of any decoder.
fn nest() -> Vec<u8> {
    (0..2000).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut length = inner.len();
        let mut outer = vec![0x0a];
        while length >= 0x80 {
            outer.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap_or(0));
        [outer, inner].concat()
    })
}
