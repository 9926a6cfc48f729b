//! Users, roles, what they log in with, and grants. Secrets are in none of them.

use super::data::Kind::{Flag, Text, Time};
use super::data::{Columns, Rows, flag, text, text_or_null, time, time_or_null};
use crate::Result;
use crate::query::Reader;

pub(super) const USERS: Columns =
    &[("name", Text), ("disabled", Flag), ("has_password", Flag), ("certificate", Text), ("created_at", Time)];

pub(super) fn users(reader: &Reader) -> Result<Rows> {
    let rows = reader.engine.users(&reader.who)?.into_iter().map(|user| {
        vec![
            text(user.name.as_ref()),
            flag(user.options.disabled),
            flag(user.password.is_some()),
            text_or_null(user.options.certificate.as_deref()),
            time(user.created_us),
        ]
    });
    Ok(rows.collect())
}

pub(super) const ROLES: Columns = &[("name", Text), ("created_at", Time)];

pub(super) fn roles(reader: &Reader) -> Result<Rows> {
    let roles = reader.engine.roles(&reader.who)?;
    Ok(roles.iter().map(|role| vec![text(role.name.as_ref()), time(role.created_us)]).collect())
}

pub(super) const ROLE_MEMBERS: Columns = &[("role", Text), ("member", Text)];

pub(super) fn role_members(reader: &Reader) -> Result<Rows> {
    let members = reader.engine.role_members(&reader.who)?;
    Ok(members.iter().map(|(role, member)| vec![text(role.as_ref()), text(member.as_ref())]).collect())
}

pub(super) const GRANTS: Columns =
    &[("grantee", Text), ("rights", Text), ("kind", Text), ("namespace", Text), ("name", Text)];

pub(super) fn grants(reader: &Reader) -> Result<Rows> {
    let rows = reader.engine.grants(&reader.who)?.into_iter().map(|grant| {
        let some = |part: &str| text_or_null((!part.is_empty()).then_some(part));
        vec![
            text(grant.grantee.as_ref()),
            text(grant.rights.to_string()),
            text(grant.scope.kind.name()),
            some(&grant.scope.namespace),
            some(&grant.scope.name),
        ]
    });
    Ok(rows.collect())
}

pub(super) const TOKENS: Columns = &[("user_name", Text), ("name", Text), ("created_at", Time), ("expires_at", Time)];

pub(super) fn tokens(reader: &Reader) -> Result<Rows> {
    let rows = reader.engine.tokens(&reader.who)?.into_iter().map(|token| {
        vec![
            text(token.user.as_ref()),
            text(token.name.as_ref()),
            time(token.created_us),
            time_or_null(token.expires_us),
        ]
    });
    Ok(rows.collect())
}

pub(super) const ACCESS_KEYS: Columns = &[("access_key", Text), ("user_name", Text), ("created_at", Time)];

pub(super) fn access_keys(reader: &Reader) -> Result<Rows> {
    let keys = reader.engine.access_keys(&reader.who)?;
    Ok(keys.iter().map(|key| vec![text(key.id.as_ref()), text(key.user.as_ref()), time(key.created_us)]).collect())
}
