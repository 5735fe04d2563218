//! A sale minute by minute, for a spreadsheet: what one opens the morning after. A row for each minute in which something
//! happened, in the order of time; amounts are in the smallest unit of the sale's currency.

use std::{fmt::Write, sync::Arc};

use http::{HeaderValue, header};
use sluice_core::{ids::SaleId, money::Currency, ports::SaleMinute};
use sluice_http::{Body, Exchange, Problem, Response};

use crate::{audited::sale_of, desk::Desk, reply::no_such_sale};

const HEAD: &str = "minute,joined,reserved,sold_out,left,expired,refused,\
    orders_paid,paid_amount,currency,orders_closed,orders_fulfilled,orders_failed,orders_refunded\n";

/// `GET /v1/sales/{sale}/report.csv`
pub(crate) async fn csv(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let sale = desk.ports.ledger.sale(&sale_of(&exchange)?).await?.ok_or_else(no_such_sale)?;
    let most = desk.limits.report_minutes_max;
    let minutes = desk.ports.ledger.minutes(&sale.id, most).await?;
    let mut response = Response::new(Body::from(table(&minutes, sale.currency())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_DISPOSITION, named(&sale.id));
    Ok(response)
}

/// Ids of sales are safe in a file's name.
fn named(sale: &SaleId) -> HeaderValue {
    HeaderValue::try_from(format!("attachment; filename=\"{sale}-report.csv\""))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

fn table(minutes: &[SaleMinute], currency: Currency) -> String {
    let mut text = HEAD.to_owned();
    for m in minutes {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{},{currency},{},{},{},{}",
            m.at,
            m.joined,
            m.reserved,
            m.sold_out,
            m.left,
            m.expired,
            m.refused,
            m.paid,
            m.paid_amount.0,
            m.closed,
            m.fulfilled,
            m.failed,
            m.refunded
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use sluice_core::{clock::UnixMillis, money::AmountFen};

    use super::*;

    #[test]
    fn every_row_has_what_the_head_says() {
        let minute = SaleMinute {
            at: UnixMillis(1_800_000_000_000),
            joined: 5,
            reserved: 3,
            paid: 2,
            paid_amount: AmountFen(19_800),
            ..SaleMinute::default()
        };
        let text = table(&[minute], Currency::CNY);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].len(), rows[1].len());
        let of = |name: &str| rows[1][rows[0].iter().position(|head| *head == name).unwrap()];
        assert_eq!(of("minute"), "2027-01-15T08:00:00.000Z");
        assert_eq!((of("joined"), of("orders_paid"), of("paid_amount")), ("5", "2", "19800"));
        assert_eq!((of("currency"), of("orders_closed")), ("CNY", "0"));
    }
}
