//! Users, roles, what they log in with, and grants.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_engine::{
    Error as EngineError, NamespaceLimit, NamespaceLimitChanges, NamespaceLimits, Rights, Scope, ScopeKind,
    UserChanges, UserOptions, UserSpec,
};

use super::groups::micros;
use super::{Scene, done, namespaces};
use crate::names::Name;
use crate::parse::{GrantOn, IdentityStatement, Options, duration_ms};
use crate::query::Relation;
use crate::shares::Purpose;
use crate::threads::planning;
use crate::{Error, Outcome, Result};

/// An option's value that takes it away.
const DEFAULT: &str = "default";

/// The columns of what it gives; `None` for what gives no rows.
pub(crate) fn schema(statement: &IdentityStatement) -> Option<SchemaRef> {
    let names: &[&str] = match statement {
        IdentityStatement::CreateToken { .. } | IdentityStatement::RotateToken { .. } => &["token"],
        IdentityStatement::CreateAccessKey { .. } | IdentityStatement::RotateAccessKey { .. } => {
            &["access_key", "secret_key"]
        }
        IdentityStatement::ExplainGrant { .. } => &["grantee", "rights", "scope", "through"],
        _ => return None,
    };
    Some(Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect::<Vec<_>>())))
}

/// Carries one out that gives rows, on a thread that may wait: it writes.
pub(crate) async fn rows(scene: &Scene, statement: &IdentityStatement) -> Result<RecordBatch> {
    let (shares, scene, statement) = (Arc::clone(&scene.reader.shares), scene.clone(), statement.clone());
    shares.run(Purpose::Statement, move || planning(|| batch(&scene, &statement))).await?
}

fn batch(scene: &Scene, statement: &IdentityStatement) -> Result<RecordBatch> {
    let (engine, who) = (scene.engine(), scene.who());
    let rows: Vec<Vec<String>> = match statement {
        IdentityStatement::CreateToken { name, user, expires } => {
            vec![vec![engine.create_token(who, user, name, expires_us(scene, expires.as_deref())?)?]]
        }
        IdentityStatement::RotateToken { name, user, expires } => {
            vec![vec![engine.rotate_token(who, user, name, expires_us(scene, expires.as_deref())?)?]]
        }
        IdentityStatement::CreateAccessKey { user, options } => {
            let mut options = options.clone();
            let (id, secret) = (options.text("access_key")?, options.text("secret_key")?);
            options.finish("CREATE ACCESS KEY", &["access_key", "secret_key"])?;
            let given = match (&id, &secret) {
                (Some(id), Some(secret)) => Some((id.as_str(), secret.as_str())),
                (None, None) => None,
                _ => return Err(invalid("access_key and secret_key are given together, or neither is".to_owned())),
            };
            let (id, secret) = engine.create_access_key(who, user, given)?;
            vec![vec![id, secret]]
        }
        IdentityStatement::RotateAccessKey { id } => vec![vec![id.clone(), engine.rotate_access_key(who, id)?]],
        IdentityStatement::ExplainGrant { user, right, on } => {
            let scope = scope(scene, on)?;
            let answers = engine.explain_grant(who, user, *right, &scope)?;
            let row = |answer: &millstream_engine::GrantAnswer| {
                let through: Vec<&str> = answer.path.iter().map(AsRef::as_ref).collect();
                let grant = &answer.grant;
                vec![grant.grantee.to_string(), grant.rights.to_string(), grant.scope.to_string(), through.join(" > ")]
            };
            answers.iter().map(row).collect()
        }
        other => return Err(Error::Internal(format!("{other:?} gives no rows"))),
    };
    let schema = schema(statement).ok_or_else(|| Error::Internal("it gives no rows".to_owned()))?;
    let column = |index: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().filter_map(|row| row.get(index))))
    };
    let columns = (0..schema.fields().len()).map(column).collect();
    RecordBatch::try_new(schema, columns).map_err(|error| Error::Internal(error.to_string()))
}

/// Carries one out that gives none.
pub(super) fn run(scene: &Scene, statement: IdentityStatement) -> Result<Outcome> {
    let (engine, who) = (scene.engine(), scene.who());
    match statement {
        IdentityStatement::CreateUser { name, if_not_exists, password, mut options } => {
            let changes = user_changes(&mut options)?;
            options.finish("CREATE USER", &user_options())?;
            let mut limits = NamespaceLimits::default();
            changes.limits.iter().for_each(|(limit, value)| limits.set(*limit, *value));
            let (disabled, certificate) = (changes.disabled.unwrap_or(false), changes.certificate.flatten());
            let options = UserOptions { disabled, certificate, limits };
            let spec = UserSpec { name: name.clone(), options };
            made("user", &name, engine.create_user(who, spec, password.as_deref()), if_not_exists)
        }
        IdentityStatement::AlterUser { name, mut options } => {
            let changes = user_changes(&mut options)?;
            options.finish("ALTER USER … SET", &user_options())?;
            engine.alter_user(who, &name, changes)?;
            done(format!("user {name:?} set"))
        }
        IdentityStatement::SetPassword { name, password } => {
            engine.set_password(who, &name, password.as_deref())?;
            done(format!("password of user {name:?} set"))
        }
        IdentityStatement::DropUser { name, if_exists } => {
            dropped("user", &name, engine.drop_user(who, &name), if_exists)
        }
        IdentityStatement::CreateRole { name, if_not_exists } => {
            made("role", &name, engine.create_role(who, &name), if_not_exists)
        }
        IdentityStatement::DropRole { name, if_exists } => {
            dropped("role", &name, engine.drop_role(who, &name), if_exists)
        }
        IdentityStatement::DropToken { name, user, if_exists } => {
            dropped("token", &name, engine.drop_token(who, &user, &name), if_exists)
        }
        IdentityStatement::DropAccessKey { id, if_exists } => {
            dropped("access key", &id, engine.drop_access_key(who, &id), if_exists)
        }
        IdentityStatement::GiveRoles { roles, to } => {
            each(&roles, &to, |role, to| engine.give_role(who, role, to))?;
            done(format!("granted {} to {}", roles.join(", "), to.join(", ")))
        }
        IdentityStatement::TakeRoles { roles, from } => {
            each(&roles, &from, |role, from| engine.take_role(who, role, from))?;
            done(format!("revoked {} from {}", roles.join(", "), from.join(", ")))
        }
        IdentityStatement::Grant { rights, on, to } => {
            let shown = each_scope(scene, &on, &to, rights, |to, scope| engine.grant(who, to, scope, rights))?;
            done(format!("granted {shown} to {}", to.join(", ")))
        }
        IdentityStatement::Revoke { rights, on, from } => {
            let shown = each_scope(scene, &on, &from, rights, |from, scope| engine.revoke(who, from, scope, rights))?;
            done(format!("revoked {shown} from {}", from.join(", ")))
        }
        other => Err(Error::Internal(format!("{other:?} gives rows"))),
    }
}

fn each(
    roles: &[String],
    whom: &[String],
    call: impl Fn(&str, &str) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    whom.iter().try_for_each(|whom| roles.iter().try_for_each(|role| call(role, whom)))
}

/// Gives what was done, for people.
fn each_scope(
    scene: &Scene,
    on: &[GrantOn],
    whom: &[String],
    rights: Rights,
    call: impl Fn(&str, &Scope) -> Result<(), EngineError>,
) -> Result<String> {
    let scopes = on.iter().map(|on| scope(scene, on)).collect::<Result<Vec<_>>>()?;
    whom.iter().try_for_each(|whom| scopes.iter().try_for_each(|scope| call(whom, scope)))?;
    let shown: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    Ok(format!("{rights} on {}", shown.join(", ")))
}

fn scope(scene: &Scene, on: &GrantOn) -> Result<Scope> {
    let namespace = on.namespace.clone().unwrap_or_else(|| scene.namespace.clone());
    let kind = match on.kind {
        Some(ScopeKind::Server) => return Ok(Scope::SERVER),
        Some(ScopeKind::Namespace) => {
            check_pattern(&on.name)?;
            return Ok(Scope::namespace(&on.name));
        }
        Some(kind) => kind,
        None => {
            let name = Name { namespace: namespace.clone(), name: on.name.clone() };
            match scene.reader.relation(&name)? {
                Some(Relation::Topic(..)) => ScopeKind::Topic,
                _ => ScopeKind::Table,
            }
        }
    };
    if namespace.contains('*') {
        return Err(invalid(format!(
            "{namespace:?} in {namespace}.{}: a namespace's name can't be a pattern here; grant on NAMESPACE {namespace}",
            on.name
        )));
    }
    check_pattern(&on.name)?;
    Ok(Scope::within(kind, &namespace, &on.name))
}

fn check_pattern(pattern: &str) -> Result<()> {
    match pattern.strip_suffix('*').unwrap_or(pattern).contains('*') {
        true => Err(invalid(format!("{pattern:?}: a pattern has one * at its end"))),
        false => Ok(()),
    }
}

fn user_options() -> Vec<&'static str> {
    ["disabled", "certificate"].into_iter().chain(NamespaceLimit::OF_USERS.map(NamespaceLimit::name)).collect()
}

fn user_changes(options: &mut Options) -> Result<UserChanges> {
    let certificate = options.text("certificate")?;
    let certificate = certificate.map(|name| (name != DEFAULT).then_some(name));
    let mut limits = NamespaceLimitChanges::new();
    namespaces::take(options, &NamespaceLimit::OF_USERS, &mut limits)?;
    Ok(UserChanges { disabled: options.boolean("disabled")?, certificate, limits })
}

/// A timestamp, or how long from now.
fn expires_us(scene: &Scene, text: Option<&str>) -> Result<Option<i64>> {
    let Some(text) = text else { return Ok(None) };
    match duration_ms(text) {
        Some(ms) => {
            let us = i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
            Ok(Some(scene.engine().now_us().saturating_add(us)))
        }
        None => micros(text).map(Some),
    }
}

fn made(what: &str, name: &str, made: Result<(), EngineError>, if_not_exists: bool) -> Result<Outcome> {
    match made {
        Err(EngineError::AlreadyExists { .. }) if if_not_exists => done(format!("{what} {name:?} was there")),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("{what} {name:?} created")),
    }
}

fn dropped(what: &str, name: &str, dropped: Result<(), EngineError>, if_exists: bool) -> Result<Outcome> {
    match dropped {
        Err(EngineError::NotFound { .. }) if if_exists => done(format!("{what} {name:?} was not there")),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("{what} {name:?} dropped")),
    }
}

fn invalid(message: String) -> Error {
    Error::Invalid { message, position: None }
}
