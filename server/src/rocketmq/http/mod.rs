//! `mq-http-sdk` clients, on the HTTP door's port: messages are published, handed out and acknowledged as XML. Handing out is [`super::pop`],
//! as over the other ways; there is no session.
//!
//! `POST`, `GET` and `DELETE /topics/TOPIC/messages`.

mod acknowledge;
mod call;
mod consume;
mod credentials;
mod fault;
mod publish;
mod written;
mod xml;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::config::Config;
use crate::door::Rooms;
use call::{Call, MqHttp};
#[cfg(test)]
pub(crate) use fault::shown as error_shown;
use fault::{Done, Fault};

/// The protocol's paths, for whoever serves HTTP.
pub(crate) fn router(config: &Config, rooms: Rooms) -> Router {
    let methods = get(consume).post(publish).delete(acknowledge).fallback(async || Fault::method());
    Router::new().route("/topics/{topic}/messages", methods).with_state(Arc::new(MqHttp::new(config, rooms)))
}

/// A refusal by the door itself, as these clients read it.
pub(crate) fn refused(message: String) -> Response {
    Fault::new(fault::ACCESS_DENIED, message).into_response()
}

async fn publish(State(door): State<Arc<MqHttp>>, request: Request) -> Response {
    answered(async { publish::publish(Call::read(&door, request)?).await }).await
}

async fn consume(State(door): State<Arc<MqHttp>>, request: Request) -> Response {
    answered(async { consume::consume(Call::read(&door, request)?).await }).await
}

async fn acknowledge(State(door): State<Arc<MqHttp>>, request: Request) -> Response {
    answered(async { acknowledge::acknowledge(Call::read(&door, request)?).await }).await
}

async fn answered(call: impl Future<Output = Done<Response>>) -> Response {
    call.await.unwrap_or_else(IntoResponse::into_response)
}
