//! Late departures by airport and hour, told in two ways, side by side.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::check::grouped;
use super::process::ServerProcess;
use super::told::tell;
use crate::cli::exit::Failure;

/// Compares two queries of columns `origin`, `hour`, `late` and `minutes`: what `teller` has made of the rows as they came, and the batch
/// query over all rows. Gives how many departures were late.
pub(super) async fn equal_hours(server: &ServerProcess, teller: &str, kept: &str, batch: &str) -> Result<u64, Failure> {
    let (own, expected) = (sums(server, kept).await?, sums(server, batch).await?);
    for (own, expected) in own.iter().zip(&expected) {
        let width = teller.len().max("batch query".len()) + 1;
        let said =
            |who: &str, sums: &Sums| format!("{}, says the {:width$} {}", sums.airport, format!("{who}:"), sums.text());
        tell(&said(teller, own))?;
        tell(&said("batch query", expected))?;
    }
    if own != expected {
        return Err(Failure::failed(format!("the {teller}'s sums are not those of the batch query")));
    }
    let differences = format!("SELECT count(*) FROM (({kept} EXCEPT {batch}) UNION ALL ({batch} EXCEPT {kept}))");
    match server.number(&differences).await? {
        0 => tell("each hour of each airport is the same")?,
        other => return Err(Failure::failed(format!("{other} hours differ from the batch query"))),
    }
    Ok(own.iter().map(|sums| sums.late).sum())
}

/// Of one airport.
#[derive(PartialEq)]
struct Sums {
    airport: String,
    hours: u64,
    late: u64,
    minutes: u64,
}

impl Sums {
    fn text(&self) -> String {
        let [hours, late, minutes] = [self.hours, self.late, self.minutes].map(grouped);
        format!("{late} late departures in {hours} hours, by {minutes} minutes")
    }
}

/// The sums of a query of hours, by airport.
async fn sums(server: &ServerProcess, hours: &str) -> Result<Vec<Sums>, Failure> {
    let query = format!(
        "SELECT origin, count(*), CAST(sum(late) AS BIGINT), CAST(sum(minutes) AS BIGINT) FROM ({hours}) GROUP BY origin \
         ORDER BY origin"
    );
    let mut sums = Vec::new();
    for batch in server.client().await?.sql(&query).await? {
        let wrong = || Failure::failed(format!("{query} gave other columns than it says"));
        let airports = batch.column(0).as_string_opt::<i32>().ok_or_else(wrong)?;
        let number = |column: usize, row: usize| {
            let column = batch.column(column).as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
            Ok::<_, Failure>(column.value(row).unsigned_abs())
        };
        for row in 0..batch.num_rows() {
            let (hours, late, minutes) = (number(1, row)?, number(2, row)?, number(3, row)?);
            sums.push(Sums { airport: airports.value(row).to_owned(), hours, late, minutes });
        }
    }
    Ok(sums)
}
