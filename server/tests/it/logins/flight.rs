//! Flight: credentials on a call, and on handshakes of both kinds.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, BasicAuth, Empty, HandshakeRequest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::{ADMIN, ANN, Tokens, admin, run, server, users};
use crate::flight::wire::connect;
use crate::program::Server;

type Flight = FlightServiceClient<Channel>;

/// What a call carries.
#[derive(Debug, Clone)]
enum Carried {
    Nothing,
    Header(String),
    Binary(String),
}

fn basic(user: &str, password: &str) -> Carried {
    Carried::Header(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn bearer(token: &str) -> Carried {
    Carried::Header(format!("Bearer {token}"))
}

fn with<T>(carried: &Carried, message: T) -> Request<T> {
    let mut request = Request::new(message);
    match carried {
        Carried::Nothing => {}
        Carried::Header(text) => {
            request.metadata_mut().insert("authorization", AsciiMetadataValue::try_from(text.as_str()).unwrap());
        }
        Carried::Binary(text) => {
            request.metadata_mut().insert_bin("auth-token-bin", BinaryMetadataValue::from_bytes(text.as_bytes()));
        }
    }
    request
}

async fn asks(flight: &mut Flight, carried: &Carried) -> Result<(), Status> {
    flight.list_actions(with(carried, Empty {})).await.map(drop)
}

/// The token of a handshake.
async fn shakes(flight: &mut Flight, carried: &Carried, payload: Vec<u8>) -> Result<String, Status> {
    let hand = HandshakeRequest { protocol_version: 0, payload: payload.into() };
    let answer = flight.handshake(with(carried, tokio_stream::iter([hand]))).await?;
    let header = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    let first = answer.into_inner().message().await?.unwrap();
    let token = String::from_utf8(first.payload.to_vec()).unwrap();
    assert_eq!(header, format!("Bearer {token}"), "both ways say the same");
    Ok(token)
}

fn payload(user: &str, password: &str) -> Vec<u8> {
    BasicAuth { username: user.to_owned(), password: password.to_owned() }.encode_to_vec()
}

/// With each credential by each way in: what is taken, and what is not.
async fn check(server: &Server, credentials: &[(&str, Carried, bool)]) {
    let mut flight = connect(server).await;
    for (what, carried, expected) in credentials {
        let asked = asks(&mut flight, carried).await;
        let shook = shakes(&mut flight, carried, Vec::new()).await;
        for (way, result) in [("a call", asked.clone().err()), ("a handshake", shook.clone().err())] {
            match (expected, result) {
                (true, None) => {}
                (false, Some(refused)) => {
                    assert_eq!(refused.code(), Code::Unauthenticated, "{way} with {what}: {refused}");
                    let kind = refused.metadata().get("millstream-error-kind");
                    assert_eq!(kind.map(|kind| kind.as_bytes()), Some(&b"unauthenticated"[..]), "{way} with {what}");
                    assert!(!refused.message().contains(ANN), "{refused}");
                }
                (_, result) => panic!("{way} with {what}: {result:?}"),
            }
        }
        if let Ok(token) = shook {
            asks(&mut flight, &bearer(&token)).await.unwrap();
            asks(&mut flight, &Carried::Binary(token)).await.unwrap();
        }
    }
}

#[test]
fn each_way_in_takes_what_is_right_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let Tokens { good, dropped, expired } = users(&admin(&server).await).await;
        check(
            &server,
            &[
                ("nothing", Carried::Nothing, false),
                ("the administrator's password", basic("admin", ADMIN), true),
                ("a password", basic("ann", ANN), true),
                ("a token", bearer(&good), true),
                ("a token for a password", basic("ann", &good), true),
                ("a token, in Flight's older metadata", Carried::Binary(good.clone()), true),
                ("a wrong password", basic("ann", "another password"), false),
                ("no password", basic("ann", ""), false),
                ("nobody's name", basic("nobody", ANN), false),
                ("somebody else's token for a password", basic("dora", &good), false),
                ("a wrong token", bearer("mst_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), false),
                ("a dropped token", bearer(&dropped), false),
                ("an expired token", bearer(&expired), false),
                ("a dropped user", basic("bob", ANN), false),
                ("a disabled user", basic("cleo", ANN), false),
            ],
        )
        .await;
        check(
            &server,
            &[
                ("a session that there is not", bearer("mss_00000000000000000000000000000000"), false),
                ("what is no header of ours", Carried::Header("Digest x".to_owned()), false),
                ("what is no base64", Carried::Header("Basic ???".to_owned()), false),
            ],
        )
        .await;
        let mut flight = connect(&server).await;
        for (user, password, expected) in [("ann", ANN, true), ("ann", "another password", false), ("bob", ANN, false)]
        {
            let shook = shakes(&mut flight, &Carried::Nothing, payload(user, password)).await;
            match shook {
                Ok(token) => {
                    assert!(expected, "{user}");
                    asks(&mut flight, &Carried::Binary(token)).await.unwrap();
                }
                Err(refused) => assert!(!expected && refused.code() == Code::Unauthenticated, "{user}: {refused}"),
            }
        }
    });
}

#[test]
fn who_fails_too_often_has_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let tokens = users(&admin(&server).await).await;
        let mut flight = connect(&server).await;
        for _ in 0..6 {
            asks(&mut flight, &basic("ann", "another password")).await.unwrap_err();
        }
        let locked = asks(&mut flight, &basic("ann", ANN)).await.unwrap_err();
        assert_eq!(locked.code(), Code::Unauthenticated);
        assert!(locked.message().contains("too many failed attempts"), "{locked}");
        let locked = shakes(&mut flight, &Carried::Nothing, payload("ann", ANN)).await.unwrap_err();
        assert!(locked.message().contains("too many failed attempts"), "{locked}");
        asks(&mut flight, &basic("dora", ANN)).await.expect("others are not in the way");
        asks(&mut flight, &bearer(&tokens.good)).await.expect("a token names nobody");
    });
}

#[test]
fn a_session_is_always_a_new_one_and_ends_with_its_login() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let admin = admin(&server).await;
        let tokens = users(&admin).await;
        let mut flight = connect(&server).await;
        let first = shakes(&mut flight, &basic("ann", ANN), Vec::new()).await.unwrap();
        let second = shakes(&mut flight, &bearer(&first), Vec::new()).await.unwrap();
        let by_token = shakes(&mut flight, &bearer(&tokens.good), Vec::new()).await.unwrap();
        assert!(first.len() >= 36 && first != second && second != by_token);
        let all = [&first, &second, &by_token];
        for token in all {
            asks(&mut flight, &bearer(token)).await.unwrap();
        }
        let close = Action { r#type: "CloseSession".to_owned(), ..Action::default() };
        flight.do_action(with(&bearer(&second), close)).await.unwrap();
        asks(&mut flight, &bearer(&second)).await.unwrap_err();
        admin.sql(&format!("ALTER USER ann PASSWORD '{ANN} again'")).await.unwrap();
        let ended = asks(&mut flight, &bearer(&first)).await.unwrap_err();
        assert!(ended.code() == Code::Unauthenticated && ended.message().contains("password"), "{ended}");
        asks(&mut flight, &bearer(&by_token)).await.unwrap();
        admin.sql("DROP TOKEN good FOR ann").await.unwrap();
        let ended = asks(&mut flight, &bearer(&by_token)).await.unwrap_err();
        assert!(ended.message().contains("token"), "{ended}");
        let again = asks(&mut flight, &bearer(&by_token)).await.unwrap_err();
        assert!(again.message().contains("forgotten"), "{again}");
    });
}

#[test]
fn without_users_nothing_is_taken_that_nobody_can_check() {
    let server = Server::start();
    run(async {
        let mut flight = connect(&server).await;
        for (carried, expected) in [
            (Carried::Nothing, true),
            (basic("somebody", ""), true),
            (basic("somebody", "secret"), false),
            (bearer("mst_secret"), false),
            (bearer("secret"), false),
        ] {
            let asked = asks(&mut flight, &carried).await;
            let shook = shakes(&mut flight, &carried, Vec::new()).await;
            assert_eq!((asked.is_ok(), shook.is_ok()), (expected, expected), "{carried:?}");
            let codes = [asked.err(), shook.err()].into_iter().flatten().map(|refused| refused.code());
            codes.for_each(|code| assert_eq!(code, Code::Unauthenticated));
        }
    });
}
