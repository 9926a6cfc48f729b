//! Messages that need not come again.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use millstream_engine::{MessageStep, PopAcked, PopReceipt};

use super::call::Call;
use super::fault::{self, Done, Fault, RECEIPT_HANDLE};
use super::xml::Writer;
use crate::rocketmq::pop::{Handle, settled};
use crate::rocketmq::tables::Tables;
use crate::rocketmq::trace::Who;

/// Receipts of one request.
const MAX_RECEIPTS: usize = 1_024;

pub(super) async fn acknowledge(mut call: Call) -> Done<Response> {
    let group = call.consumer()?;
    if let Some(trans) = call.parameter("trans").filter(|trans| *trans != "order") {
        return Err(Fault::unsupported(format!("transactions are not served over HTTP (trans={trans:.40})")));
    }
    let table = call.tables.existing(&call.topic)?;
    let mut receipts = Vec::new();
    for (name, text) in call.texts("ReceiptHandles").await? {
        if name != "ReceiptHandle" {
            return Err(Fault::invalid(format!("among receipts is a <{name:.100}>")));
        }
        receipts.push(text);
    }
    let count = receipts.len();
    if count == 0 || count > MAX_RECEIPTS {
        return Err(Fault::invalid(format!("a request has 1 to {MAX_RECEIPTS} receipts, not {count}")));
    }
    let read = receipts.iter().map(|text| {
        let handle = Handle::read_alone(text).map_err(|refusal| refusal.remark)?;
        Tables::check_queue(&table, handle.receipt.partition).map_err(|refusal| refusal.remark)?;
        Ok(handle.receipt)
    });
    let read: Vec<Result<PopReceipt, String>> = read.collect();
    let known: Arc<[PopReceipt]> = read.iter().flatten().copied().collect();
    let mut found = Vec::new().into_iter();
    if !known.is_empty() {
        let (table, of, named) = (table.id, group.clone(), Arc::clone(&known));
        let ask = move |tables: &Tables| {
            tables.engine.acknowledge_popped(&tables.who, &of.namespace, &of.name, table, &named)
        };
        let (outcomes, _) = settled((&call.door, &call.tables), ask).await?;
        let done = known.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == PopAcked::Done);
        let who = || Who::of(&group, "", call.sent.peer.address);
        call.tables.note_receipts(MessageStep::Acknowledged, table, who, done.map(|(receipt, _)| receipt));
        found = outcomes.into_iter();
    }
    let mut xml = Writer::begin("Errors");
    let mut failed = false;
    for (text, read) in receipts.iter().zip(read) {
        let why = match read.map(|_| found.next()) {
            Ok(Some(PopAcked::Done)) => continue,
            Ok(_) => "the message is in other hands, or was not handed out with this receipt".to_owned(),
            Err(why) => why,
        };
        failed = true;
        let code = Fault::new(RECEIPT_HANDLE, why);
        xml.open("Error").text("ErrorCode", code.name()).text("ErrorMessage", &code.message);
        xml.text("ReceiptHandle", text).close("Error");
    }
    Ok(match failed {
        false => fault::answer(StatusCode::NO_CONTENT, None),
        true => fault::answer(StatusCode::NOT_FOUND, Some(xml.end())),
    })
}
