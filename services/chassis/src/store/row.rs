//! Values of statements and rows of results: the four types that both databases share.

use crate::{
    base::time::{Timestamp, from_micros, to_micros},
    domain::{consumer_name::ConsumerName, digest::LogDigest, log_id::LogId},
    store::error::StoreError,
};

/// A value of a statement or row: 64-bit integer, double, text or bytes, or a typed null.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `BIGINT`
    Int(Option<i64>),
    /// `DOUBLE PRECISION`
    Real(Option<f64>),
    /// `TEXT`
    Text(Option<String>),
    /// `BYTEA`
    Blob(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($from:ty => $variant:ident $convert:expr),+ $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(Some($convert(value)))
            }
        }

        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map($convert))
            }
        }
    )+};
}

value_from! {
    i64 => Int std::convert::identity,
    i32 => Int i64::from,
    bool => Int i64::from,
    f64 => Real std::convert::identity,
    String => Text std::convert::identity,
    &str => Text str::to_owned,
    Vec<u8> => Blob std::convert::identity,
    &[u8] => Blob <[u8]>::to_vec,
    Timestamp => Int to_micros,
    &ConsumerName => Text ConsumerName::to_string,
    &LogId => Text LogId::to_string,
    LogDigest => Blob |digest: LogDigest| digest.as_bytes().to_vec(),
}

/// The values of a statement: `args![id, 3, None::<i64>]` for `$1`, `$2`, `$3`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::Value::from($value)),*] };
}

/// A row of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(Vec<Value>);

impl Row {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// The row without its first columns.
    pub(crate) fn without_first(self, columns: usize) -> Self {
        Self(self.0.into_iter().skip(columns).collect())
    }

    /// All columns.
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// An integer column.
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.opt_int(column)?
            .ok_or_else(|| wrong(column, "an integer"))
    }

    /// An integer column that may be null.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            Some(value) if value.is_null() => Ok(None),
            _ => Err(wrong(column, "an integer")),
        }
    }

    /// A double column.
    pub fn real(&self, column: usize) -> Result<f64, StoreError> {
        match self.0.get(column) {
            Some(Value::Real(Some(value))) => Ok(*value),
            _ => Err(wrong(column, "a double")),
        }
    }

    /// A text column.
    pub fn text(&self, column: usize) -> Result<&str, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(Some(value))) => Ok(value),
            _ => Err(wrong(column, "text")),
        }
    }

    /// A text column that may be null.
    pub fn opt_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(Some(value))) => Ok(Some(value)),
            Some(value) if value.is_null() => Ok(None),
            _ => Err(wrong(column, "text")),
        }
    }

    /// A bytes column.
    pub fn blob(&self, column: usize) -> Result<&[u8], StoreError> {
        match self.0.get(column) {
            Some(Value::Blob(Some(value))) => Ok(value),
            _ => Err(wrong(column, "bytes")),
        }
    }

    /// The digest of a log; that of an empty one if the column is null.
    pub(crate) fn digest(&self, column: usize) -> Result<LogDigest, StoreError> {
        Ok(self.opt_digest(column)?.unwrap_or_default())
    }

    /// The digest of a log, unless the column is null.
    pub(crate) fn opt_digest(&self, column: usize) -> Result<Option<LogDigest>, StoreError> {
        if self.0.get(column).is_some_and(Value::is_null) {
            return Ok(None);
        }
        let digest = LogDigest::from_bytes(self.blob(column)?);
        digest.ok_or_else(|| wrong(column, "a digest")).map(Some)
    }

    /// An instant, stored in microseconds.
    pub fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        self.int(column).map(from_micros)
    }
}

impl Value {
    fn is_null(&self) -> bool {
        matches!(
            self,
            Self::Int(None) | Self::Real(None) | Self::Text(None) | Self::Blob(None)
        )
    }
}

fn wrong(column: usize, expected: &str) -> StoreError {
    StoreError::Bug(format!("column {column} is not {expected}"))
}
