/// The steps that make a company's database, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The database, its login role and its schema, by the migrator.
    CreateDatabase,
    /// The data that every company starts with, by the migrator.
    Seed,
}

impl Step {
    /// All of them, in order.
    pub(crate) const ALL: [Step; 2] = [Step::CreateDatabase, Step::Seed];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Step::CreateDatabase => "create_database",
            Step::Seed => "seed",
        }
    }

    /// The step of this name; `None` for one of a newer catalog.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }
}
