//! Limits of namespaces and users, as all doors hold to them that wait. Nobody holds a thread meanwhile.

use std::time::Duration;

use futures::StreamExt;
use millstream_engine::{Engine, Error, Principal, Result};
use millstream_sql::Outcome;

use crate::door::Door;

/// Limits may be changed meanwhile.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Waits until more may be appended to the namespace. What its client has sent meanwhile keeps room that others may need: one who would
/// wait for long then gives way (`Busy`), and comes again.
pub(crate) async fn until_appends(door: &Door, who: &Principal, namespace: &str) -> Result<()> {
    while let Some(pause) = door.engine.append_pause(who, namespace) {
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        if pause > LONGEST_PAUSE && door.net.ingress.is_scarce() {
            return Err(Error::Busy(format!(
                "the stream is held back for {} ms by what may be appended to namespace {namespace:?}, and gave way to others, who \
                 need the room of what it has sent",
                pause.as_millis()
            )));
        }
    }
    Ok(())
}

/// Waits until more may be delivered of the namespace.
async fn until_delivers(engine: &Engine, who: &Principal, namespace: &str) {
    while let Some(pause) = engine.delivery_pause(who, namespace) {
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
    }
}

/// A statement's rows, no faster than they may be delivered to who has asked for them in the namespace.
pub(crate) fn paced(engine: &Engine, who: &Principal, namespace: &str, outcome: Outcome) -> Outcome {
    let Outcome::Rows { schema, stream } = outcome else { return outcome };
    let of = (engine.clone(), who.clone(), namespace.to_owned());
    let rows = futures::stream::unfold((stream, of), |(mut stream, of)| async move {
        let (engine, who, namespace) = &of;
        let next = stream.next().await?;
        // Whoever has had all of them does not wait for their end.
        if let Ok(batch) = &next {
            until_delivers(engine, who, namespace).await;
            engine.delivered_rows(who, namespace, batch);
        }
        Some((next, (stream, of)))
    });
    Outcome::Rows { schema, stream: rows.boxed() }
}
