//! Principals of tests: what they were checked for is noted, and one object may be refused to them.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{Action, Object, ObjectKind};
use crate::model::{Error, Principal, Result};

static REHEARSALS: Mutex<Option<HashMap<Principal, Rehearsal>>> = Mutex::new(None);

/// An object by its kind, its namespace and its name.
pub(crate) type Named = (ObjectKind, String, String);

#[derive(Debug, Default)]
struct Rehearsal {
    refused: Option<Named>,
    checked: Vec<(Action, Named, Option<Principal>)>,
}

/// From now on this principal may do everything but what concerns `refused`, and its checks are noted anew.
pub(crate) fn begin(who: &Principal, refused: Option<Named>) {
    REHEARSALS.lock().get_or_insert_default().insert(who.clone(), Rehearsal { refused, ..Rehearsal::default() });
}

/// What the principal was checked for since the rehearsal began: the action, the object and its owner.
pub(crate) fn checked(who: &Principal) -> Vec<(Action, Named, Option<Principal>)> {
    REHEARSALS
        .lock()
        .as_ref()
        .and_then(|rehearsals| rehearsals.get(who))
        .map_or_else(Vec::new, |rehearsal| rehearsal.checked.clone())
}

pub(super) fn note(who: &Principal, action: Action, object: &Object<'_>) -> Result<()> {
    let mut rehearsals = REHEARSALS.lock();
    let Some(rehearsal) = rehearsals.as_mut().and_then(|rehearsals| rehearsals.get_mut(who)) else { return Ok(()) };
    let named = (object.kind, object.namespace.to_owned(), object.name.to_owned());
    let refused = rehearsal.refused.as_ref() == Some(&named);
    rehearsal.checked.push((action, named, object.owner.cloned()));
    match refused {
        true => Err(Error::PermissionDenied(format!("{} may not {action:?} {object:?}", who.name()))),
        false => Ok(()),
    }
}
