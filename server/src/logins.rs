//! Who calls: what a request shows is checked by the engine, for all doors alike.

use millstream_engine::{CallerAddress, Credentials, Error, Principal, Result};

use crate::credentials::Shown;
use crate::door::Door;
use crate::net::peer::Peer;
use crate::work::Waits;

/// Who shows this over that connection, which counts as his. `Unauthenticated` where it is wrong, and where it is nothing though callers have to log in.
///
/// While nobody has to, a name is taken at its word, and a password or a token, which nobody can check, is refused, lest whoever
/// sends one believes that it protects him. `of` is the door that it came by.
pub(crate) async fn log_in(door: &Door, of: &'static str, shown: Shown, peer: &Peer) -> Result<Principal> {
    let who = known(door, of, shown, peer).await?;
    door.engine.connect(&who, &peer.places)?;
    Ok(who)
}

async fn known(door: &Door, of: &'static str, shown: Shown, peer: &Peer) -> Result<Principal> {
    let engine = &door.engine;
    let from = address(of, peer);
    if !engine.has_users() {
        return unchecked(&shown).map(|()| Principal::anonymous().at(from));
    }
    match shown {
        // Whoever says who he is means that, and not what his certificate says.
        Shown::Nothing => {
            engine.authenticate(peer.certificate_name().map(|name| Credentials::Certificate { name }), from)
        }
        Shown::Token(token) => door.authenticator.check_token(&token, from).await,
        Shown::Password { user, password } => {
            let engine = engine.clone();
            let check =
                move || engine.authenticate(Some(Credentials::Password { user: &user, password: &password }), from);
            let checked = door.work.run(Waits::Hashes, check).await;
            checked.unwrap_or_else(|_| Err(Error::Busy("the server is stopping".to_owned())))
        }
    }
}

/// Where a call comes from.
pub(crate) fn address(of: &'static str, peer: &Peer) -> CallerAddress {
    CallerAddress { ip: peer.address.map(|address| address.ip().to_canonical()), door: of }
}

fn unchecked(shown: &Shown) -> Result<()> {
    let refused = |message: &str| Err(Error::Unauthenticated(message.to_owned()));
    match shown {
        Shown::Nothing => Ok(()),
        Shown::Password { password, .. } if password.is_empty() => Ok(()),
        Shown::Password { .. } => refused(
            "this server has no passwords to check, for it has no users, and anybody who reaches it may do everything: connect \
             with an empty password, or without a user",
        ),
        Shown::Token(_) => refused(
            "this server has no tokens to check, for it has no users, and anybody who reaches it may do everything: send none",
        ),
    }
}
