//! Values on their way to the database and back.

use sqlx::{
    Arguments, Column, Row as _, TypeInfo, ValueRef,
    postgres::{PgArguments, PgRow},
};

use crate::store::{Row, StoreError, Value};

/// Adds a value to the arguments of a statement.
pub(super) fn bind(args: &mut PgArguments, value: Value) -> Result<(), StoreError> {
    let bound = match value {
        Value::Int(value) => args.add(value),
        Value::Real(value) => args.add(value),
        Value::Text(value) => args.add(value),
        Value::Blob(value) => args.add(value),
    };
    bound.map_err(|error| StoreError::Bug(error.to_string()))
}

/// Values as the arguments of a statement.
pub(super) fn arguments(values: &[Value]) -> Result<PgArguments, StoreError> {
    let mut args = PgArguments::default();
    for value in values {
        bind(&mut args, value.clone())?;
    }
    Ok(args)
}

/// A row as every engine gives it.
pub(super) fn row(row: &PgRow) -> Result<Row, StoreError> {
    let columns = row.columns().iter().enumerate();
    let values = columns.map(|(place, column)| {
        if row.try_get_raw(place)?.is_null() {
            return Ok(Value::Text(None));
        }
        Ok(match column.type_info().name() {
            "INT8" => Value::Int(row.try_get(place)?),
            "INT4" => Value::Int(row.try_get::<Option<i32>, _>(place)?.map(i64::from)),
            "BYTEA" => Value::Blob(row.try_get(place)?),
            "FLOAT8" => Value::Real(row.try_get(place)?),
            _ => Value::Text(row.try_get(place)?),
        })
    });
    let values: Result<_, sqlx::Error> = values.collect();
    values
        .map(Row::new)
        .map_err(|error| StoreError::Bug(error.to_string()))
}
