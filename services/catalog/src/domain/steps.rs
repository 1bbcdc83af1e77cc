/// What a company's steps are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Making its database.
    Provision,
    /// Removing it.
    Purge,
}

/// A step of the durable pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The database, its login role and its schema, by the migrator.
    CreateDatabase,
    /// The data that every company starts with, by the migrator.
    Seed,
    /// The database and its login role go, by the migrator.
    DropDatabase,
}

/// Steps of a purge come after any of provisioning.
const PURGE_POSITION: i32 = 1_000;

impl Work {
    /// Its steps, in order.
    pub(crate) fn steps(self) -> &'static [Step] {
        match self {
            Work::Provision => &[Step::CreateDatabase, Step::Seed],
            Work::Purge => &[Step::DropDatabase],
        }
    }

    /// The position of its first step.
    pub(crate) fn first_position(self) -> i32 {
        match self {
            Work::Provision => 0,
            Work::Purge => PURGE_POSITION,
        }
    }

    /// Which work the step at this position belongs to.
    pub(crate) fn at(position: i32) -> Self {
        if position < PURGE_POSITION { Work::Provision } else { Work::Purge }
    }
}

impl Step {
    const ALL: [Step; 3] = [Step::CreateDatabase, Step::Seed, Step::DropDatabase];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Step::CreateDatabase => "create_database",
            Step::Seed => "seed",
            Step::DropDatabase => "drop_database",
        }
    }

    /// The step of this name; `None` for one of a newer catalog.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }
}
