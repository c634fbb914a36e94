//! Converts values to and from the types of sqlx.

use sqlx::{
    Arguments, Column, Row as _, TypeInfo, ValueRef,
    postgres::{PgArguments, PgRow},
};

use crate::store::{
    error::StoreError,
    row::{Row, Value},
};

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

/// Adds rows of values as arrays, one for each column. The values of a column are of one type.
pub(super) fn bind_columns(
    args: &mut PgArguments,
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    let width = rows.first().map_or(0, Vec::len);
    let mut columns: Vec<Vec<Value>> = (0..width).map(|_| Vec::new()).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    for column in columns {
        bind_array(args, column)?;
    }
    Ok(())
}

macro_rules! array {
    ($args:ident, $column:ident, $variant:ident) => {{
        let values = $column.into_iter().map(|value| match value {
            Value::$variant(value) => Ok(value),
            other => Err(StoreError::Bug(format!(
                "a column has values of several types: {other:?}"
            ))),
        });
        let values: Result<Vec<_>, _> = values.collect();
        $args.add(values?)
    }};
}

fn bind_array(args: &mut PgArguments, column: Vec<Value>) -> Result<(), StoreError> {
    let bound = match column.first() {
        Some(Value::Int(_)) => array!(args, column, Int),
        Some(Value::Real(_)) => array!(args, column, Real),
        Some(Value::Text(_)) => array!(args, column, Text),
        Some(Value::Blob(_)) => array!(args, column, Blob),
        None => Ok(()),
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

/// A row as every backend returns it.
pub(super) fn row(row: &PgRow) -> Result<Row, StoreError> {
    let columns = row.columns().iter().enumerate();
    let values = columns.map(|(index, column)| {
        if row.try_get_raw(index)?.is_null() {
            return Ok(Value::Text(None));
        }
        Ok(match column.type_info().name() {
            "INT8" => Value::Int(row.try_get(index)?),
            "INT4" => Value::Int(row.try_get::<Option<i32>, _>(index)?.map(i64::from)),
            "BYTEA" => Value::Blob(row.try_get(index)?),
            "FLOAT8" => Value::Real(row.try_get(index)?),
            _ => Value::Text(row.try_get(index)?),
        })
    });
    let values: Result<_, sqlx::Error> = values.collect();
    values
        .map(Row::new)
        .map_err(|error| StoreError::Bug(error.to_string()))
}
