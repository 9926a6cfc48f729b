//! What to make of it.

use super::facts::Facts;
use crate::config::is_exposed;

/// Where each door listens, by setting, and what it is called.
const DOORS: [(&str, &str); 3] =
    [("grpc", "Flight, Flight SQL and RocketMQ's gRPC"), ("http", "HTTP"), ("remoting", "RocketMQ's remoting")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Open,
    Look,
    Fine,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Open => "open",
            Level::Look => "look",
            Level::Fine => "fine",
        }
    }
}

#[derive(Debug)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) message: String,
}

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |level, message: String| found.push(Finding { level, message });
    doors(facts, &mut say);
    logins(facts, &mut say);
    rights(facts, &mut say);
    provider(facts, &mut say);
    found
}

fn doors(facts: &Facts, say: &mut impl FnMut(Level, String)) {
    let protected = facts.setting("tls") != "off" && facts.setting("tls_required") != "never";
    for (setting, door) in DOORS {
        let address = facts.setting(setting);
        let exposed = address.parse().map_or(true, is_exposed);
        match (exposed, facts.users.is_empty(), protected) {
            (false, ..) => {
                say(Level::Fine, format!("{door} ({address}) is reached by programs of the server's machine only"))
            }
            (true, true, _) => {
                say(Level::Open, format!("{door} ({address}) is reached by other machines, and nobody has to log in"));
            }
            (true, false, false) => say(
                Level::Open,
                format!(
                    "{door} ({address}) is reached by other machines without TLS: passwords, tokens and rows are seen on the way"
                ),
            ),
            (true, false, true) => {
                say(Level::Fine, format!("{door} ({address}) is reached by other machines, over TLS, after a log-in"))
            }
        }
    }
    if protected && facts.setting("tls_min_version") == "1.2" {
        say(Level::Look, "TLS 1.2 is spoken beside 1.3 (tls_min_version): older clients may need it".to_owned());
    }
}

fn logins(facts: &Facts, say: &mut impl FnMut(Level, String)) {
    if facts.users.is_empty() {
        let message =
            "there are no users: whoever reaches a door may do everything (millstream passwd admin makes the first)";
        return say(Level::Look, message.to_owned());
    }
    let users = facts.users.len();
    say(Level::Fine, format!("everybody has to log in; there are {users} users who can"));
    for [user, token] in &facts.endless_tokens {
        say(Level::Look, format!("token {token:?} of {user:?} has no end (ALTER TOKEN … ROTATE EXPIRES '90 days')"));
    }
}

fn rights(facts: &Facts, say: &mut impl FnMut(Level, String)) {
    for [grantee, rights] in &facts.server_grants {
        let holders: Vec<&str> =
            facts.members.iter().filter(|[_, role]| role == grantee).map(|[member, _]| member.as_str()).collect();
        let through = match holders.is_empty() {
            true => String::new(),
            false => format!(", which is given to {}", holders.join(", ")),
        };
        say(Level::Look, format!("{grantee:?}{through} has on all of the server: {rights}"));
    }
    let roots = facts.setting("file_roots");
    if !roots.is_empty() {
        say(
            Level::Look,
            format!("statements of whoever has OPERATE on the server read and write files in {roots} (file_roots)"),
        );
    }
    for [namespace, name, reaches] in &facts.reaching_plugins {
        say(Level::Look, format!("plugin {namespace}.{name} reaches more than its rows: {reaches}"));
    }
}

fn provider(facts: &Facts, say: &mut impl FnMut(Level, String)) {
    let issuer = facts.setting("oidc_issuer");
    if issuer.is_empty() {
        return;
    }
    if facts.setting("oidc_user_prefix").is_empty() {
        say(
            Level::Open,
            format!("whoever {issuer} calls by the name of a user here is that user (oidc_user_prefix is empty)"),
        );
    }
    match facts.setting("oidc_roles") {
        "" => say(
            Level::Look,
            format!("{issuer} gives its users any role of this server by its name (oidc_roles is not given)"),
        ),
        roles => say(Level::Fine, format!("{issuer} gives its users these roles at most: {roles}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(settings: &[(&str, &str)], users: &[&str]) -> Facts {
        let defaults = [
            ("grpc", "127.0.0.1:8081"),
            ("http", "[::1]:8080"),
            ("remoting", "127.0.0.1:9876"),
            ("tls", "off"),
            ("tls_required", "remote"),
        ];
        let settings = defaults.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Facts {
            settings: settings.collect(),
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            ..Facts::default()
        }
    }

    fn open(facts: &Facts) -> Vec<String> {
        findings(facts)
            .into_iter()
            .filter(|finding| finding.level == Level::Open)
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn what_others_reach_needs_users_and_tls() {
        assert!(open(&facts(&[], &[])).is_empty(), "it is this machine's alone");
        let outside = ("http", "0.0.0.0:8080");
        assert!(open(&facts(&[outside], &[]))[0].contains("nobody has to log in"));
        assert!(open(&facts(&[outside], &["ann"]))[0].contains("without TLS"));
        let tls = ("tls", "files");
        assert!(open(&facts(&[outside, tls], &["ann"])).is_empty());
        assert_eq!(open(&facts(&[outside, tls, ("tls_required", "never")], &["ann"])).len(), 1);
        assert_eq!(
            open(&facts(&[("grpc", "of another release")], &["ann"])).len(),
            1,
            "what can't be read is not fine"
        );
    }

    #[test]
    fn rights_that_reach_far_are_told() {
        let mut of =
            facts(&[("file_roots", "/srv"), ("oidc_issuer", "https://id"), ("oidc_user_prefix", "")], &["ann"]);
        let pair = |first: &str, second: &str| [first.to_owned(), second.to_owned()];
        of.server_grants = vec![pair("ops", "OPERATE, GRANT OPTION")];
        of.members = vec![pair("ann", "ops"), pair("bob", "other")];
        of.endless_tokens = vec![pair("ann", "ci")];
        of.reaching_plugins = vec![["public".to_owned(), "p".to_owned(), "clock".to_owned()]];
        let said: Vec<String> = findings(&of).into_iter().map(|finding| finding.message).collect();
        for words in [
            "\"ops\", which is given to ann has",
            "/srv",
            "\"ci\" of \"ann\"",
            "public.p",
            "any role",
            "oidc_user_prefix",
        ] {
            assert!(said.iter().any(|message| message.contains(words)), "{words}: {said:?}");
        }
        assert_eq!(open(&of).len(), 1);
    }
}
