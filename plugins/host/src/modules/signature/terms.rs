//! What a signature says of its module: the text that is signed, line by line.

use std::collections::BTreeSet;

use millstream_engine::{Capability, Error, Result};

use crate::contract::Site;
use crate::modules::digest::{Digest, hex};

/// Of the whole text.
pub(super) const MAX_BYTES: usize = 8 << 10;

const FIRST_LINE: &str = "millstream plugin 2";

/// Under what terms a module is signed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Which one of several with this name, or from this signer, it is: a server may refuse those below some number.
    pub release: u64,
    /// The name that it may be loaded under; any, if there is none.
    pub name: Option<String>,
    /// All that it may be granted (`clock`, `random`, `state`, `table`, `http:HOST`); anything, if there is no list.
    pub grants: Option<BTreeSet<String>>,
}

impl Terms {
    /// Refuses what could not be read again.
    pub fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::InvalidInput(why));
        if let Some(name) = &self.name
            && (name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()))
        {
            return refuse(format!("{name:?} is no name of a plugin"));
        }
        for grant in self.grants.iter().flatten() {
            if canonical(grant).as_ref() != Ok(grant) {
                return refuse(
                    canonical(grant).err().unwrap_or_else(|| format!("{grant:?} is not written as it is kept")),
                );
            }
        }
        if self.text(&[0; 32]).len() > MAX_BYTES {
            return refuse(format!("name and grants are more than {MAX_BYTES} bytes"));
        }
        Ok(())
    }

    /// The text that is signed, of a module without its signature.
    pub(super) fn text(&self, module: &Digest) -> String {
        let mut text = format!("{FIRST_LINE}\nmodule {}\nrelease {}\n", hex(module), self.release);
        if let Some(name) = &self.name {
            text.push_str(&format!("name {name}\n"));
        }
        if let Some(grants) = &self.grants {
            text.push_str("grants");
            grants.iter().for_each(|grant| text.extend([" ", grant]));
            text.push('\n');
        }
        text
    }

    /// Reads a text of a module; what [`Self::text`] would not give is none.
    pub(super) fn read(text: &str, module: &Digest) -> Option<Terms> {
        let mut terms = Terms::default();
        for line in text.lines().skip(2) {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "release" => terms.release = value.parse().ok()?,
                "name" => terms.name = Some(value.to_owned()),
                "grants" => {
                    terms.grants =
                        Some(value.split(' ').filter(|grant| !grant.is_empty()).map(str::to_owned).collect());
                }
                _ => return None,
            }
        }
        (terms.check().is_ok() && terms.text(module) == text).then_some(terms)
    }

    /// Why a module under these terms may not be used so.
    pub(super) fn refusal(&self, used: &IntendedUse<'_>) -> Option<String> {
        if let (Some(signed), Some(name)) = (&self.name, used.name)
            && signed != name
        {
            return Some(format!("is signed as {signed:?}, and not as {name:?}"));
        }
        let allowed = self.grants.as_ref()?;
        let more = used.grants.iter().find(|grant| !allowed.contains(*grant))?;
        let allowed =
            if allowed.is_empty() { "nothing".to_owned() } else { Vec::from_iter(allowed.iter().cloned()).join(", ") };
        Some(format!("is signed for being granted {allowed}, and not {more}"))
    }
}

/// How a module is to be used.
#[derive(Debug, Clone, Default)]
pub(crate) struct IntendedUse<'a> {
    /// What it is to be called; nothing where it is only looked at.
    pub(crate) name: Option<&'a str>,
    pub(crate) grants: BTreeSet<String>,
}

impl<'a> IntendedUse<'a> {
    pub(crate) fn new(
        name: Option<&'a str>,
        capabilities: &BTreeSet<Capability>,
        tables: bool,
        http_hosts: &[String],
    ) -> IntendedUse<'a> {
        let named = capabilities.iter().map(|capability| capability.name().to_owned());
        let tables = tables.then(|| Capability::Table.name().to_owned());
        let hosts = http_hosts.iter().map(|host| {
            let grant = format!("{HTTP}{host}");
            canonical(&grant).unwrap_or(grant)
        });
        IntendedUse { name, grants: named.chain(tables).chain(hosts).collect() }
    }
}

const HTTP: &str = "http:";

/// A grant as it is kept.
pub fn canonical(grant: &str) -> std::result::Result<String, String> {
    if let Some(host) = grant.strip_prefix(HTTP) {
        return host.parse::<Site>().map(|site| format!("{HTTP}{site}"));
    }
    let known: Vec<&str> = Capability::ALL.into_iter().chain([Capability::Table]).map(Capability::name).collect();
    match known.contains(&grant) {
        true => Ok(grant.to_owned()),
        false => Err(format!("{grant:?} is nothing that is granted; there are {}, and http:HOST", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(release: u64, name: Option<&str>, grants: Option<&[&str]>) -> Terms {
        let grants = grants.map(|grants| grants.iter().map(|grant| (*grant).to_owned()).collect());
        Terms { release, name: name.map(str::to_owned), grants }
    }

    #[test]
    fn terms_are_read_as_they_were_written_and_in_no_other_way() {
        for terms in [
            terms(0, None, None),
            terms(u64::MAX, Some("late"), Some(&[])),
            terms(7, None, Some(&["clock", "table", "http:api.example.com:8443"])),
        ] {
            terms.check().unwrap_or_else(|e| panic!("{e}"));
            let text = terms.text(&[7; 32]);
            assert_eq!(Terms::read(&text, &[7; 32]), Some(terms), "{text}");
            assert_eq!(Terms::read(&text, &[8; 32]), None, "another module");
            for other in [
                text.replace("plugin 2", "plugin 3"),
                format!("{text}more\n"),
                text.replace('\n', "\r\n"),
                format!(" {text}"),
            ] {
                assert_eq!(Terms::read(&other, &[7; 32]), None, "{other}");
            }
        }
        for wrong in [
            terms(1, Some(""), None),
            terms(1, Some("a\nrelease 9"), None),
            terms(1, None, Some(&["everything"])),
            terms(1, None, Some(&["http:*"])),
            terms(1, None, Some(&["http:API.example.com"])),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_goes_beyond_the_terms_is_refused() {
        let used = |name, capabilities: &[Capability], tables, hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            IntendedUse::new(name, &capabilities.iter().copied().collect(), tables, &hosts)
        };
        let bound = terms(1, Some("late"), Some(&["clock", "http:api.example.com"]));
        assert_eq!(bound.refusal(&used(Some("late"), &[Capability::Clock], false, &["API.example.com."])), None);
        assert_eq!(bound.refusal(&used(None, &[], false, &[])), None);
        for (used, why) in [
            (used(Some("early"), &[], false, &[]), "is signed as \"late\", and not as \"early\""),
            (
                used(Some("late"), &[Capability::Random], false, &[]),
                "granted clock, http:api.example.com, and not random",
            ),
            (used(Some("late"), &[], true, &[]), "and not table"),
            (used(Some("late"), &[], false, &["b.example"]), "and not http:b.example"),
        ] {
            assert!(bound.refusal(&used).is_some_and(|found| found.contains(why)), "{used:?} lacks {why}");
        }
        let anything = used(Some("any"), &Capability::ALL, true, &["b.example"]);
        assert_eq!(terms(1, None, None).refusal(&anything), None);
        assert!(terms(1, None, Some(&[])).refusal(&anything).is_some_and(|why| why.contains("granted nothing")));
    }
}
