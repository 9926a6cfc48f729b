//! The Flight service: its calls, as tonic has them.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use millstream_engine::ErrorKind;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use super::calls::{DO_GET, DO_PUT};
use super::dispatch::{FlightDoor, calling};
use super::error::DoorError;
use super::forward::Messages;
use super::query::Asked;
use super::{exchange, forward};
use crate::figures::Counted;
use crate::net::limits::FIRST_MESSAGE_TIMEOUT;
use crate::net::vigil::Vigil;

/// The stream, counted as long as it lasts.
fn counting<T>(stream: impl Stream<Item = T> + Send + 'static, counted: Counted) -> BoxStream<'static, T>
where
    T: Send + 'static,
{
    stream.inspect(move |_| _ = &counted).boxed()
}

#[tonic::async_trait]
impl FlightService for FlightDoor {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = Messages;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = Messages;

    /// The token that it gives stands for the login from here on, and binds a session.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let calling = calling(&request)?;
        let mut messages = request.into_inner();
        // Those who log in by metadata may send no message, and may leave the stream open.
        let first = tokio::time::timeout(self.inner.door.net.limits.header_timeout, messages.message())
            .await
            .unwrap_or(Ok(None))?;
        let token = self.inner.sessions.open(&self.inner.door, calling, first.as_ref()).await?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.clone().into() };
        let mut response = Response::new(stream::iter([Ok(answer)]).boxed());
        let bearer = MetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|_| DoorError::internal("the token is not valid metadata"))?;
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let flights = self.flights(self.caller(&request).await?).await?;
        Ok(Response::new(stream::iter(flights.into_iter().map(Ok)).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Ok(Response::new(self.describe(request, Asked::Info).await?))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Ok(Response::new(PollInfo::new().with_info(self.describe(request, Asked::Info).await?)))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Ok(Response::new(SchemaResult { schema: self.describe(request, Asked::Schema).await?.schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = self.caller(&request).await?;
        let (counted, sent) = (self.inner.door.figures.count(DO_GET), forward::sent(&request)?);
        let deadline = self.deadline(request.metadata())?;
        Ok(forward::response(counting(self.get(caller, request.into_inner(), sent, deadline).await?, counted)))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = self.caller(&request).await?;
        let (counted, sent) = (self.inner.door.figures.count(DO_PUT), forward::sent(&request)?);
        let deadline = self.deadline(request.metadata())?;
        let who = caller.session.principal().clone();
        let mut incoming = forward::incoming(request);
        let first = tokio::time::timeout(FIRST_MESSAGE_TIMEOUT, incoming.next()).await;
        let first =
            first.map_err(|_| DoorError::new(ErrorKind::Retry, "the first message of DoPut did not come in time"))?;
        let first = first.ok_or_else(|| DoorError::invalid("the DoPut stream is empty"))??;
        // What an append may go on with is looked at there.
        let engine = self.inner.door.engine.clone();
        let vigil = Vigil::begin(&self.inner.door.net, move || engine.check_login(&who));
        let acks = vigil.within(self.put(caller, first, incoming, sent, deadline)).await?;
        Ok(Response::new(counting(acks, counted)))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let caller = self.caller(&request).await?;
        let (door, members) = (self.inner.door.clone(), Arc::clone(&self.inner.members));
        let (who, sent) = (caller.session.principal().clone(), forward::sent(&request)?);
        Ok(forward::response(exchange::serve(door, members, who, forward::incoming(request), sent)))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = self.caller(&request).await?;
        let (metadata, _, action) = request.into_parts();
        let body = self.act(caller, action, &metadata).await?;
        Ok(Response::new(stream::iter(body.map(|body| Ok(arrow_flight::Result { body }))).boxed()))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.caller(&request).await?;
        let action = |name: &str, what: &str| Ok(ActionType { r#type: name.to_owned(), description: what.to_owned() });
        let actions = [
            action("CreatePreparedStatement", "Parses and plans a statement, and keeps it under a handle"),
            action("ClosePreparedStatement", "Forgets a prepared statement"),
            action("CancelFlightInfo", "Ends the executions that read from a flight's tickets"),
            action("CloseSession", "Forgets the session of the bearer token"),
        ];
        Ok(Response::new(stream::iter(actions).boxed()))
    }
}
