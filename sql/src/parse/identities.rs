//! Users, roles, what they log in with, and grants.

use datafusion::sql::sqlparser::tokenizer::Token;
use millstream_engine::{Right, Rights, ScopeKind};

use super::{Cursor, Options, Statement};
use crate::Result;
use crate::names::fold;

/// A statement about who may do what.
#[derive(Clone)]
pub(crate) enum IdentityStatement {
    CreateUser {
        name: String,
        if_not_exists: bool,
        password: Option<String>,
        options: Options,
    },
    AlterUser {
        name: String,
        options: Options,
    },
    /// `None` refuses passwords.
    SetPassword {
        name: String,
        password: Option<String>,
    },
    DropUser {
        name: String,
        if_exists: bool,
    },
    CreateRole {
        name: String,
        if_not_exists: bool,
    },
    DropRole {
        name: String,
        if_exists: bool,
    },
    CreateToken {
        name: String,
        user: String,
        expires: Option<String>,
    },
    RotateToken {
        name: String,
        user: String,
        expires: Option<String>,
    },
    DropToken {
        name: String,
        user: String,
        if_exists: bool,
    },
    CreateAccessKey {
        user: String,
        options: Options,
    },
    RotateAccessKey {
        id: String,
    },
    DropAccessKey {
        id: String,
        if_exists: bool,
    },
    GiveRoles {
        roles: Vec<String>,
        to: Vec<String>,
    },
    TakeRoles {
        roles: Vec<String>,
        from: Vec<String>,
    },
    Grant {
        rights: Rights,
        on: Vec<GrantOn>,
        to: Vec<String>,
    },
    Revoke {
        rights: Rights,
        on: Vec<GrantOn>,
        from: Vec<String>,
    },
    ExplainGrant {
        user: String,
        right: Right,
        on: GrantOn,
    },
}

/// What rights are about, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantOn {
    /// `None`: a table or a topic, whichever has the name.
    pub kind: Option<ScopeKind>,
    /// `None`: the session's.
    pub namespace: Option<String>,
    /// A pattern; empty for the server.
    pub name: String,
}

/// Without the secrets.
impl std::fmt::Debug for IdentityStatement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityStatement(…)")
    }
}

/// After CREATE.
pub(super) fn parse_create(cursor: &mut Cursor) -> Result<Option<Statement>> {
    let statement = if cursor.words(&["USER"]) {
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = identity(cursor)?;
        let password = if cursor.words(&["PASSWORD"]) { Some(cursor.string()?) } else { None };
        IdentityStatement::CreateUser { name, if_not_exists, password, options: Options::parse(cursor)? }
    } else if cursor.words(&["ROLE"]) {
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        IdentityStatement::CreateRole { name: identity(cursor)?, if_not_exists }
    } else if cursor.words(&["TOKEN"]) {
        let (name, user) = token(cursor)?;
        IdentityStatement::CreateToken { name, user, expires: expires(cursor)? }
    } else if cursor.words(&["ACCESS", "KEY"]) {
        cursor.expect_words(&["FOR"])?;
        IdentityStatement::CreateAccessKey { user: identity(cursor)?, options: Options::parse(cursor)? }
    } else {
        return Ok(None);
    };
    Ok(Some(Statement::Identity(statement)))
}

/// After ALTER.
pub(super) fn parse_alter(cursor: &mut Cursor) -> Result<Option<Statement>> {
    let statement = if cursor.words(&["USER"]) {
        let name = identity(cursor)?;
        if cursor.words(&["SET", "PASSWORD"]) || cursor.words(&["PASSWORD"]) {
            let password = if cursor.words(&["NULL"]) { None } else { Some(cursor.string()?) };
            IdentityStatement::SetPassword { name, password }
        } else if cursor.words(&["SET"]) {
            IdentityStatement::AlterUser { name, options: Options::parse_list(cursor)? }
        } else {
            return Err(cursor.expected("PASSWORD '…', PASSWORD NULL or SET (…)"));
        }
    } else if cursor.words(&["TOKEN"]) {
        let (name, user) = token(cursor)?;
        cursor.expect_words(&["ROTATE"])?;
        IdentityStatement::RotateToken { name, user, expires: expires(cursor)? }
    } else if cursor.words(&["ACCESS", "KEY"]) {
        let id = identity(cursor)?;
        cursor.expect_words(&["ROTATE"])?;
        IdentityStatement::RotateAccessKey { id }
    } else {
        return Ok(None);
    };
    Ok(Some(Statement::Identity(statement)))
}

/// After DROP.
pub(super) fn parse_drop(cursor: &mut Cursor) -> Result<Option<Statement>> {
    let statement = if cursor.words(&["USER"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        IdentityStatement::DropUser { name: identity(cursor)?, if_exists }
    } else if cursor.words(&["ROLE"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        IdentityStatement::DropRole { name: identity(cursor)?, if_exists }
    } else if cursor.words(&["TOKEN"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        let (name, user) = token(cursor)?;
        IdentityStatement::DropToken { name, user, if_exists }
    } else if cursor.words(&["ACCESS", "KEY"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        IdentityStatement::DropAccessKey { id: identity(cursor)?, if_exists }
    } else {
        return Ok(None);
    };
    Ok(Some(Statement::Identity(statement)))
}

/// After GRANT: roles, or rights on something.
pub(super) fn parse_grant(cursor: &mut Cursor) -> Result<Statement> {
    let statement = match parse_granted(cursor)? {
        Granted::Roles(roles) => {
            cursor.expect_words(&["TO"])?;
            IdentityStatement::GiveRoles { roles, to: identities(cursor)? }
        }
        Granted::Rights(rights, on) => {
            cursor.expect_words(&["TO"])?;
            let to = identities(cursor)?;
            let handed_on = cursor.words(&["WITH", "GRANT", "OPTION"]);
            let rights = if handed_on { rights.with(Right::GrantOption) } else { rights };
            IdentityStatement::Grant { rights, on, to }
        }
    };
    Ok(Statement::Identity(statement))
}

/// After REVOKE.
pub(super) fn parse_revoke(cursor: &mut Cursor) -> Result<Statement> {
    let granted = parse_granted(cursor)?;
    cursor.expect_words(&["FROM"])?;
    let from = identities(cursor)?;
    Ok(Statement::Identity(match granted {
        Granted::Roles(roles) => IdentityStatement::TakeRoles { roles, from },
        Granted::Rights(rights, on) => IdentityStatement::Revoke { rights, on, from },
    }))
}

/// After EXPLAIN GRANT: `u PRODUCE ON t`.
pub(super) fn parse_explain(cursor: &mut Cursor) -> Result<Statement> {
    let user = identity(cursor)?;
    let named = right(cursor)?;
    let right = Right::named(&named).ok_or_else(|| cursor.expected(&format!("one of {} before this", Rights::ALL)))?;
    cursor.expect_words(&["ON"])?;
    let kind = scope_kind(cursor);
    let on = grant_on(cursor, kind)?;
    Ok(Statement::Identity(IdentityStatement::ExplainGrant { user, right, on }))
}

enum Granted {
    Roles(Vec<String>),
    Rights(Rights, Vec<GrantOn>),
}

fn parse_granted(cursor: &mut Cursor) -> Result<Granted> {
    let mut names = vec![right(cursor)?];
    while cursor.consume(&Token::Comma) {
        names.push(right(cursor)?);
    }
    if !cursor.words(&["ON"]) {
        return Ok(Granted::Roles(names));
    }
    let mut rights = Rights::NONE;
    for name in &names {
        match Right::named(name) {
            Some(right) => rights = rights.with(right),
            None if name.eq_ignore_ascii_case("ALL") => rights = Rights::ALL,
            None => {
                return Err(
                    cursor.expected(&format!("rights before ON: ALL, or some of {}; not {name:?}, here", Rights::ALL))
                );
            }
        }
    }
    let Some(kind) = scope_kind(cursor) else {
        return Err(cursor.expected("SERVER, NAMESPACE, TABLE, TOPIC, GROUP or PLUGIN"));
    };
    let mut on = vec![grant_on(cursor, Some(kind))?];
    while cursor.consume(&Token::Comma) {
        on.push(grant_on(cursor, Some(kind))?);
    }
    Ok(Granted::Rights(rights, on))
}

/// The name of a right or of a role.
fn right(cursor: &mut Cursor) -> Result<String> {
    for words in [["GRANT", "OPTION"], ["USE", "PLUGIN"]] {
        if cursor.words(&words) {
            return Ok(words.join(" "));
        }
    }
    if cursor.words(&["ALL"]) {
        let _ = cursor.words(&["PRIVILEGES"]) || cursor.words(&["RIGHTS"]);
        return Ok("ALL".to_owned());
    }
    identity(cursor)
}

fn scope_kind(cursor: &mut Cursor) -> Option<ScopeKind> {
    let kinds: [(&[&str], ScopeKind); 9] = [
        (&["SERVER"], ScopeKind::Server),
        (&["NAMESPACE"], ScopeKind::Namespace),
        (&["SCHEMA"], ScopeKind::Namespace),
        (&["DATABASE"], ScopeKind::Namespace),
        (&["TABLE"], ScopeKind::Table),
        (&["TOPIC"], ScopeKind::Topic),
        (&["CONSUMER", "GROUP"], ScopeKind::Group),
        (&["GROUP"], ScopeKind::Group),
        (&["PLUGIN"], ScopeKind::Plugin),
    ];
    kinds.into_iter().find(|(words, _)| cursor.words(words)).map(|(_, kind)| kind)
}

/// `n`, `ns.n`, and patterns: `n*`, `ns.*`, `*`.
fn grant_on(cursor: &mut Cursor, kind: Option<ScopeKind>) -> Result<GrantOn> {
    if kind == Some(ScopeKind::Server) {
        return Ok(GrantOn { kind, namespace: None, name: String::new() });
    }
    let first = pattern(cursor)?;
    if kind == Some(ScopeKind::Namespace) || !cursor.consume(&Token::Period) {
        return Ok(GrantOn { kind, namespace: None, name: first });
    }
    Ok(GrantOn { kind, namespace: Some(first), name: pattern(cursor)? })
}

fn pattern(cursor: &mut Cursor) -> Result<String> {
    if cursor.consume(&Token::Mul) {
        return Ok("*".to_owned());
    }
    let name = identity(cursor)?;
    Ok(if cursor.consume(&Token::Mul) { format!("{name}*") } else { name })
}

/// An identifier, or a string where the name has other characters.
pub(super) fn identity(cursor: &mut Cursor) -> Result<String> {
    match cursor.sql().peek_token().token {
        Token::SingleQuotedString(_) => cursor.string(),
        _ => Ok(fold(&cursor.identifier()?)),
    }
}

fn identities(cursor: &mut Cursor) -> Result<Vec<String>> {
    let mut names = vec![identity(cursor)?];
    while cursor.consume(&Token::Comma) {
        names.push(identity(cursor)?);
    }
    Ok(names)
}

/// `n FOR u`.
fn token(cursor: &mut Cursor) -> Result<(String, String)> {
    let name = identity(cursor)?;
    cursor.expect_words(&["FOR"])?;
    Ok((name, identity(cursor)?))
}

/// `EXPIRES '2027-01-31T00:00:00Z'`, `EXPIRES IN '30 days'`.
fn expires(cursor: &mut Cursor) -> Result<Option<String>> {
    if !cursor.words(&["EXPIRES"]) {
        return Ok(None);
    }
    let _ = cursor.words(&["IN"]);
    cursor.string().map(Some)
}
