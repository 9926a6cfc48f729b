//! Half messages: sent (10 and 310 with a flag), ended by 37, and asked about with 39.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use bytes::BytesMut;
use millstream_engine::{
    Append, CheckVerdict, Engine, Error, HalfMessage, Lsn, MessageClient, PartitionChoice, Principal, TableInfo,
    Ticket, TransactionCheck, TransactionId,
};
use tokio::sync::broadcast::error::RecvError;

use super::answer::{Answer, Answered, Refusal};
use super::client::{Client, ClientConnection};
use super::fields::Fields;
use super::names::ScopedName;
use super::rows::{self, NewMessage};
use super::shared::Remoting;
use super::stored::{MessageRows, Place};
use super::wire::command::{Command, Header, HeaderForm};
use super::wire::properties::{CHECK_IMMUNITY, CHECK_TIMES, REAL_QUEUE_ID, REAL_TOPIC};
use super::wire::{codes, message_id};
use crate::net::stop::Stop;
use crate::work::Waits;

/// What 37 says of a transaction, as the bits of a system flag.
const COMMIT: i32 = 0x8;
const ROLLBACK: i32 = 0xc;
/// The longest time until the first question that a producer may ask for.
const LONGEST_IMMUNITY_S: u64 = 3_600;

/// Queues a half message. Only its own producers are asked about it, whose group is named as they write it.
pub(super) fn begin(
    engine: &Engine,
    who: &Principal,
    table: &TableInfo,
    partition: PartitionChoice,
    message: &NewMessage,
    group: &ScopedName,
) -> Result<Ticket, Refusal> {
    let batch = rows::batch(std::slice::from_ref(message)).map_err(|error| Refusal::illegal(error.to_string()))?;
    let append = Append { table: table.id, partition, batch };
    let after_ms = immunity_ms(message)?;
    Ok(engine.begin_transactions(who, &append, &group.wire(), after_ms)?)
}

/// When the producer wants to be asked first.
fn immunity_ms(message: &NewMessage) -> Result<Option<u64>, Refusal> {
    let said = message.properties.iter().find(|(name, _)| name == CHECK_IMMUNITY);
    let Some((_, seconds)) = said.filter(|(_, seconds)| !seconds.is_empty()) else { return Ok(None) };
    // Clients write -1 where nobody has said anything.
    match seconds.parse::<i64>() {
        Ok(seconds) => Ok(u64::try_from(seconds).ok().map(|seconds| seconds.min(LONGEST_IMMUNITY_S) * 1_000)),
        Err(_) => Err(Refusal::illegal(format!("the property {CHECK_IMMUNITY} is {seconds:?}, which is no number"))),
    }
}

/// 37.
pub(super) async fn end(client: Arc<Client>, command: Command) -> Answered {
    let work = client.door.work.clone();
    work.run(Waits::ForLog, move || end_now(&client, &command)).await?
}

fn end_now(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let group = ScopedName::read(fields.text("producerGroup")?, fields);
    let lsn: u64 = fields.number("commitLogOffset")?;
    let verdict = match fields.or("commitOrRollback", 0)? {
        COMMIT => CheckVerdict::Commit,
        ROLLBACK => CheckVerdict::Rollback,
        _ => CheckVerdict::Unknown,
    };
    let (engine, who) = (&client.tables.engine, &client.tables.who);
    let id = TransactionId { lsn: Lsn(lsn), index: 0 };
    let half = match engine.half_message(who, id) {
        // Apache's broker says the same of one that it does not find.
        Err(error @ Error::NotFound { .. }) => return Err(Refusal::new(codes::SYSTEM_ERROR, error.to_string())),
        half => half?,
    };
    if half.group != group.wire() {
        let message = format!("transaction {id} is of producer group {:?}, not {:?}", half.group, group.wire());
        return Err(Refusal::new(codes::SYSTEM_ERROR, message));
    }
    engine.end_transaction(who, half.table, id, verdict)?;
    Ok(Answer::ok())
}

/// Connections whose clients can be asked.
#[derive(Debug, Default)]
pub(super) struct Askable(Mutex<HashMap<u64, Weak<ClientConnection>>>);

impl Askable {
    pub(super) fn add(&self, client: &Arc<ClientConnection>) {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert(client.number, Arc::downgrade(client));
    }

    pub(super) fn remove(&self, client: &ClientConnection) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&client.number);
    }

    pub(super) fn get(&self, connection: u64) -> Option<Arc<ClientConnection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&connection)?.upgrade()
    }
}

/// Asks producers until the server stops: of the server's own accord, and for nobody else.
pub(super) async fn ask(remoting: Arc<Remoting>, stop: Stop) {
    let door = tokio::select! {
        () = stop.stopped() => return,
        door = remoting.rooms.opened() => door.clone(),
    };
    let mut checks = match door.engine.transaction_checks(&Principal::system()) {
        Ok(checks) => checks,
        Err(error) => return tracing::error!(%error, "nobody can be asked about half messages"),
    };
    loop {
        let check = tokio::select! {
            () = stop.stopped() => return,
            check = checks.recv() => check,
        };
        match check {
            // What is not asked now is asked another time.
            Ok(check) => {
                let (remoting, engine) = (Arc::clone(&remoting), door.engine.clone());
                let asked = door.work.run(Waits::ForState, move || ask_one(&remoting, &engine, check)).await;
                let refusal = asked.map_err(Refusal::from).and_then(|asked| asked.map_err(Refusal::from)).err();
                if let Some(Refusal { remark, .. }) = refusal {
                    tracing::debug!(id = %check.id, "nobody was asked about a half message: {remark}");
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// The producer that is asked now, of whichever door: each one of the group in turn that may send to the message's table.
pub(super) fn whose_turn(engine: &Engine, who: &Principal, half: &HalfMessage) -> Result<Option<MessageClient>, Error> {
    let group = ScopedName::parse(&half.group);
    let mut producers = engine.transaction_producers(who, &group.namespace, &group.name, half.table)?;
    let turn = usize::try_from(half.checks).unwrap_or(0) % producers.len().max(1);
    Ok((turn < producers.len()).then(|| producers.swap_remove(turn)))
}

/// Asks the producer whose turn it is, if he is one of this door's.
fn ask_one(remoting: &Remoting, engine: &Engine, check: TransactionCheck) -> Result<(), Error> {
    let who = Principal::system();
    let half = engine.half_message(&who, check.id)?;
    let Some(producer) = whose_turn(engine, &who, &half)? else { return Ok(()) };
    let Some(client) = remoting.askable.get(producer.connection) else { return Ok(()) };
    let table = engine.table_by_id(&who, half.table)?;
    let row = engine.half_message_row(&who, half.table, half.id)?;
    let message = question(remoting, &client, &table, &half, &row);
    let message = message.map_err(|refusal| Error::Internal(refusal.remark))?;
    if let Some(room) = client.outgoing.try_room(message.len()) {
        client.outgoing.try_send(message, room);
    }
    Ok(())
}

/// 39.
fn question(
    remoting: &Remoting,
    client: &ClientConnection,
    table: &TableInfo,
    half: &HalfMessage,
    message: &RecordBatch,
) -> Result<bytes::Bytes, Refusal> {
    let topic = ScopedName { namespace: table.namespace.clone(), name: table.name.clone() }.wire();
    let (physical, store_host) = (half.id.lsn.0, client.store_host);
    let batch = with_append_time(message, half.begun_us)?;
    let rows = MessageRows::of(&batch)?;
    let mut properties = rows.properties(0);
    properties.put(REAL_TOPIC, &topic);
    properties.put(REAL_QUEUE_ID, &half.partition.to_string());
    properties.put(CHECK_TIMES, &half.checks.to_string());
    let place = Place { topic: &topic, queue: half.partition, offset: 0, physical, store_host };
    let mut body = BytesMut::new();
    rows.message(0, place, &properties).write(&mut body)?;
    let offset = i64::try_from(physical).unwrap_or(i64::MAX);
    let fields = vec![
        ("topic", topic.clone()),
        ("tranStateTableOffset", "0".to_owned()),
        ("commitLogOffset", offset.to_string()),
        ("msgId", half.message_id.clone()),
        ("transactionId", half.message_id.clone()),
        ("offsetMsgId", message_id::write(store_host, offset)),
    ];
    let header = Header::one_way(codes::CHECK_TRANSACTION_STATE, remoting.next_opaque(), fields);
    Ok(header.write(HeaderForm::Json, &body)?)
}

/// The columns that [`MessageRows`] reads: that it began stands for when it is stored.
pub(super) fn with_append_time(message: &RecordBatch, begun_us: i64) -> Result<RecordBatch, Refusal> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let mut fields: Vec<_> = message.schema_ref().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("_append_ts", time, false)));
    let begun: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from_value(begun_us, message.num_rows()).with_timezone("UTC"));
    let columns = message.columns().iter().cloned().chain([begun]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Refusal::new(codes::SYSTEM_ERROR, error.to_string()))
}

/// What is answered of a half message that was sent: where its transaction is found.
pub(super) fn answer(client: &Client, lsn: Lsn, queue: u32, unique: &str) -> Answer {
    let offset = i64::try_from(lsn.0).unwrap_or(i64::MAX);
    Answer::with(vec![
        ("msgId", message_id::write(client.store_host, offset)),
        ("queueId", queue.to_string()),
        ("queueOffset", "0".to_owned()),
        ("transactionId", unique.to_owned()),
        ("MSG_REGION", "DefaultRegion".to_owned()),
        ("TRACE_ON", "true".to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_say_when_they_want_to_be_asked() {
        let with = |seconds: &str| {
            let mut message = NewMessage::default();
            message.set(CHECK_IMMUNITY, seconds.to_owned());
            immunity_ms(&message)
        };
        assert_eq!(immunity_ms(&NewMessage::default()), Ok(None));
        assert_eq!((with("60"), with("-1"), with("")), (Ok(Some(60_000)), Ok(None), Ok(None)));
        assert_eq!(with("999999999999"), Ok(Some(3_600_000)));
        assert!(with("soon").unwrap_err().remark.contains("no number"));
    }
}
