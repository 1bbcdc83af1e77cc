macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What an object of a catalogue is, in the order in which a report lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ObjectKind {
            $($(#[$doc])* $name,)+
        }

        impl ObjectKind {
            /// As it is stored and printed.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// The database itself: encoding, collation, settings.
    Database = "database",
    /// The tenant's login: what it may do on the server, its memberships and limits.
    Role = "role",
    Schema = "schema",
    Extension = "extension",
    /// An enum, a domain, a range or a composite type.
    Type = "type",
    Table = "table",
    Column = "column",
    /// The order of the columns that both databases have; only ever in a finding.
    ColumnOrder = "column_order",
    /// A check, a foreign key, and where the engine tells them from indexes, a primary or a unique key.
    Constraint = "constraint",
    Index = "index",
    Sequence = "sequence",
    /// A view, materialised or not.
    View = "view",
    /// A function or a procedure.
    Function = "function",
    Trigger = "trigger",
    /// A rewrite rule.
    Rule = "rule",
    /// A row security policy.
    Policy = "policy",
    /// Extended statistics, which plans depend on.
    Statistics = "statistics",
    /// A scheduled event.
    Event = "event",
    /// Who owns an object.
    Owner = "owner",
    /// What somebody may do with an object: `people to <tenant>`.
    Grant = "grant",
    /// What somebody may do with objects to come.
    DefaultGrant = "default_grant",
}

impl std::fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing in a database. Of one kind a name comes once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogueObject {
    pub kind: ObjectKind,
    /// Qualified: `people`, `people.surname`, `people.ix_people_kind`, `people to <tenant>`. A PostgreSQL schema other
    /// than `public` comes first.
    pub name: String,
    /// Everything else that makes it what it is, as text of the engine's.
    pub definition: String,
    /// The name of the object that it comes and goes with.
    pub parent: Option<String>,
    /// A column's place in its table; only the order means something.
    pub position: i64,
}
