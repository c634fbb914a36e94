//! A customer's page.

use berth::{
    offer::v1::Period,
    view::v1::{ListMyPageRequest, MyPageEntry},
};
use chassis::{
    MemberId, Money, StoreError, Violations,
    base::{page, time},
    store::Row,
};
use prost::Message;
use tonic::Status;

use super::{int32, reservation_status};
use crate::views::queries::MyPage;

pub(crate) fn query(customer: MemberId, request: &ListMyPageRequest) -> Result<MyPage, Status> {
    let mut v = Violations::new();
    let status = reservation_status(&mut v, "status", request.status);
    let size = v.page_size(request.page_size);
    let after = v
        .page_token(&request.page_token)
        .and_then(|[at, id]| Some((v.parse("page_token", &at)?, v.parse("page_token", &id)?)));
    let query = status.zip(size).map(|(status, size)| MyPage {
        customer,
        status,
        after,
        size,
    });
    v.check(query)
}

/// The token of the page that begins after a row.
pub(crate) fn page_token(row: &Row) -> Result<String, StoreError> {
    Ok(page::token([&row.int(14)?.to_string(), row.text(0)?]))
}

pub(crate) fn to_proto(row: &Row) -> Result<MyPageEntry, StoreError> {
    let period = row.blob(4)?;
    let mut changed = row.int(15)?;
    for column in 16..=18 {
        changed = changed.max(row.int(column)?);
    }
    Ok(MyPageEntry {
        reservation_id: row.text(0)?.into(),
        customer_id: row.text(1)?.into(),
        offer_id: row.text(2)?.into(),
        title: row.text(3)?.into(),
        period: (!period.is_empty())
            .then(|| Period::decode(period))
            .transpose()
            .map_err(|error| StoreError::Bug(error.to_string()))?,
        price: money(row, 5)?.map(Into::into),
        status: int32(row, 7)?,
        reason: row.text(8)?.into(),
        payment_status: int32(row, 9)?,
        refund: money(row, 10)?.map(Into::into),
        message_count: int32(row, 12)?,
        reviewed: row.int(13)? > 0,
        create_time: Some(time::to_proto(row.time(14)?)),
        update_time: Some(time::to_proto(time::from_micros(changed))),
    })
}

/// The amount in a currency column and the column after it. None if the currency is empty.
fn money(row: &Row, column: usize) -> Result<Option<Money>, StoreError> {
    Ok(match row.text(column)?.parse() {
        Ok(currency) => Some(Money::new(currency, row.int(column + 1)?)),
        Err(_) => None,
    })
}
