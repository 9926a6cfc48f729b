//! What may be granted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One right. What it allows depends on what it is granted on; `docs/security.md` has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Append rows and messages.
    Produce,
    /// Join groups, move and drop them; read topics as a member.
    Consume,
    /// Read rows as history.
    Read,
    /// Create, change and drop.
    Define,
    /// See figures, events and what others do; cut segments, decide and resend.
    Operate,
    /// Name a plugin in topics, functions, selectors and consumers.
    UsePlugin,
    /// Grant to others what one has oneself; on the server also: make users and roles.
    GrantOption,
}

impl Right {
    pub const ALL: [Right; 7] = [
        Right::Produce,
        Right::Consume,
        Right::Read,
        Right::Define,
        Right::Operate,
        Right::UsePlugin,
        Right::GrantOption,
    ];

    /// As SQL has it.
    pub fn name(self) -> &'static str {
        match self {
            Right::Produce => "PRODUCE",
            Right::Consume => "CONSUME",
            Right::Read => "READ",
            Right::Define => "DEFINE",
            Right::Operate => "OPERATE",
            Right::UsePlugin => "USE PLUGIN",
            Right::GrantOption => "GRANT OPTION",
        }
    }

    /// The right of a name, in any case.
    pub fn named(name: &str) -> Option<Right> {
        Right::ALL.into_iter().find(|right| right.name().eq_ignore_ascii_case(name))
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

impl Rights {
    pub const NONE: Rights = Rights(0);
    pub const ALL: Rights = Rights(0x7f);

    #[must_use]
    pub fn with(self, right: Right) -> Rights {
        Rights(self.0 | right.bit())
    }

    pub fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    pub fn has_any(self, of: Rights) -> bool {
        self.0 & of.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub fn union(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    #[must_use]
    pub fn minus(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    /// In the order of [`Right::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Rights {
        rights.into_iter().fold(Rights::NONE, Rights::with)
    }
}

/// Their names, with commas between.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, right) in self.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, right.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// By their names, so that what is stored says what it means.
impl Serialize for Rights {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Right::name))
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rights, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names
            .iter()
            .map(|name| Right::named(name).ok_or_else(|| serde::de::Error::custom(format!("no right {name:?}"))))
            .collect()
    }
}
