//! A parsed selector.

/// What gives true, false, null, or fails.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// `None` is null.
    Constant(Option<bool>),
    /// One after the other, until one decides.
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// A property where a condition is wanted: a text is never true.
    Property(usize),
    Equal(Operand, Operand),
    Order(Order, Operand, Operand),
    In {
        property: usize,
        texts: Vec<String>,
        negated: bool,
    },
    Part {
        part: Part,
        of: Operand,
        text: String,
        negated: bool,
    },
    /// A plugin, by its place among those that are called.
    Call(usize),
}

/// What gives a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// By its place among the names of properties.
    Property(usize),
    Constant(Constant),
    Negated(Box<Operand>),
    Condition(Box<Condition>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Null,
    Text(String),
    Int(i32),
    Long(i64),
    Double(f64),
    Bool(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Where a text is looked for in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Anywhere,
    Start,
    End,
}

/// A condition with what it names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    pub(super) condition: Condition,
    pub(super) properties: Vec<String>,
    pub(super) calls: Vec<Called>,
}

/// A call of a plugin, as it stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Called {
    /// Folded.
    pub(super) name: String,
    pub(super) position: crate::Position,
    pub(super) arguments: Vec<Argument>,
}

/// What a plugin is given.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    /// A column of messages, or else a property.
    Named(String),
    Constant(Constant),
}

impl Condition {
    pub(super) fn calls_plugin(&self) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().any(Condition::calls_plugin),
            Condition::Not(of) => of.calls_plugin(),
            Condition::Equal(left, right) | Condition::Order(_, left, right) => {
                left.calls_plugin() || right.calls_plugin()
            }
            Condition::Part { of, .. } => of.calls_plugin(),
            Condition::Call(_) => true,
            Condition::Constant(_) | Condition::Property(_) | Condition::In { .. } => false,
        }
    }
}

impl Operand {
    fn calls_plugin(&self) -> bool {
        match self {
            Operand::Negated(of) => of.calls_plugin(),
            Operand::Condition(condition) => condition.calls_plugin(),
            Operand::Property(_) | Operand::Constant(_) => false,
        }
    }
}
