//! A consumer: tells a webhook of late departures, a request each, at least once.
//!
//! The configuration is the URL, and behind a space how many minutes a late departure is delayed by more than; 60 if it says
//! nothing. Each request has a key, the same whenever it is sent again, by which the receiver knows a repeat. It needs no state,
//! writes to no table, and the operator names the host: `WITH (http = 'hooks.example.com', config = 'https://hooks.example.com/late')`.

use std::fmt::Write as _;

use millstream_plugin::http::{HttpError, Request, Response};
use millstream_plugin::{
    Answer, Batch, Capability, Consumer, DataType, Parameter, Position, Table, TimeUnit, Verdict, export_consumer,
};

/// How often an alert is sent in one call. The server waits before it gives the batch again.
const TRIES: u32 = 3;

struct DelayAlerts {
    url: String,
    minutes: f32,
}

/// What became of one alert.
enum Told {
    Taken,
    /// The receiver will not take it, however often it is sent.
    Refused(String),
    /// It may take it later.
    NotNow(String),
}

impl Consumer for DelayAlerts {
    const NAME: &'static str = "delay-alerts";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::new("_offset", DataType::Int64),
        Parameter::new("ts", DataType::Timestamp { unit: TimeUnit::Millisecond, utc: true }),
        Parameter::new("carrier", DataType::Utf8),
        Parameter::new("origin", DataType::Utf8),
        Parameter::new("dep_delay", DataType::Float32),
    ];
    const OUTPUTS: &'static [Table] = &[];
    const CAPABILITIES: &'static [Capability] = &[Capability::Http("*")];

    fn open(config: &str) -> Result<Self, String> {
        let (url, minutes) = config.split_once(' ').unwrap_or((config, "60"));
        if url.is_empty() {
            return Err("the configuration is empty; it is a URL and, behind a space, a number of minutes".to_owned());
        }
        let minutes = minutes.parse().map_err(|_| format!("{minutes:?} is not a number of minutes"))?;
        Ok(DelayAlerts { url: url.to_owned(), minutes })
    }

    fn consume(&self, batch: &Batch<'_>, position: &Position) -> Result<Answer, String> {
        let (offset, at) = (batch.primitive::<i64>("_offset")?, batch.primitive::<i64>("ts")?);
        let (carrier, origin) = (batch.utf8("carrier")?, batch.utf8("origin")?);
        let delay = batch.primitive::<f32>("dep_delay")?;
        let mut answer = Answer::done();
        for (row, number) in (0..batch.rows()).zip(0_u32..) {
            let (Some(offset), Some(delay)) = (offset.get(row), delay.get(row)) else { continue };
            if delay <= self.minutes {
                continue;
            }
            // Batches are cut otherwise when they come again; the row's own place stays.
            let key = format!("{}/{}/{offset}", position.topic, position.partition);
            let mut body = String::from("{");
            text(&mut body, "key", Some(&key));
            amount(&mut body, "departure_ms", at.get(row));
            text(&mut body, "carrier", carrier.get(row));
            text(&mut body, "origin", origin.get(row));
            amount(&mut body, "delay_minutes", Some(delay));
            body.push('}');
            match self.tell(&key, &body) {
                Told::Taken => {}
                Told::Refused(why) => answer = answer.except(number, Verdict::DeadLetter(why)),
                // Nothing of this call is kept; those that were taken are sent once more, with the same keys.
                Told::NotNow(why) => return Ok(Answer::verdict(Verdict::Retry(why))),
            }
        }
        Ok(answer)
    }
}

impl DelayAlerts {
    /// A receiver that fails at times would never take a large batch whole: each alert is tried a few times.
    fn tell(&self, key: &str, body: &str) -> Told {
        let mut told = self.tell_once(key, body);
        for _ in 1..TRIES {
            let Told::NotNow(_) = told else { break };
            told = self.tell_once(key, body);
        }
        told
    }

    fn tell_once(&self, key: &str, body: &str) -> Told {
        let request = Request::post(&self.url)
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .timeout_ms(5_000)
            .body(body);
        match request.send() {
            Ok(response) if response.is_success() => Told::Taken,
            Ok(Response { status: status @ (408 | 429 | 500..), .. }) => {
                Told::NotNow(format!("{key}: status {status}"))
            }
            Ok(Response { status, .. }) => Told::Refused(format!("{key}: status {status}")),
            Err(error @ (HttpError::Unreachable(_) | HttpError::TimedOut | HttpError::Denied(_))) => {
                Told::NotNow(format!("{key}: {error}"))
            }
            Err(error) => Told::Refused(format!("{key}: {error}")),
        }
    }
}

/// A member of a JSON object.
fn member(object: &mut String, name: &str) {
    let comma = if object.len() > 1 { "," } else { "" };
    // Writing to a String can't fail.
    let _ = write!(object, "{comma}\"{name}\":");
}

fn amount(object: &mut String, name: &str, value: Option<impl ToString>) {
    member(object, name);
    object.push_str(&value.map_or_else(|| "null".to_owned(), |value| value.to_string()));
}

fn text(object: &mut String, name: &str, value: Option<&str>) {
    member(object, name);
    let Some(value) = value else { return object.push_str("null") };
    object.push('"');
    for character in value.chars() {
        let _ = match character {
            '"' | '\\' => write!(object, "\\{character}"),
            control if control.is_control() => write!(object, "\\u{:04x}", u32::from(control)),
            plain => write!(object, "{plain}"),
        };
    }
    object.push('"');
}

export_consumer!(DelayAlerts);
