use super::State;

/// What a company's steps are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Making its database, and what has to be there before the company is ACTIVE.
    Provision,
    /// What may come once it is ACTIVE.
    AfterProvision,
    /// Removing its database, and what has to go before the company is PURGED.
    Purge,
    /// What may go later.
    AfterPurge,
}

/// A step of the durable pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The database, its login role and its schema, by the migrator.
    CreateDatabase,
    /// The data that every company starts with, by the migrator.
    Seed,
    /// The hook of this name prepares for the company.
    Prepare(String),
    /// The database and its login role go, by the migrator.
    DropDatabase,
    /// The hook of this name forgets the company.
    Remove(String),
}

/// A lifecycle hook, as far as the order of steps goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) hook: String,
    /// Whether the company waits for it.
    pub(crate) is_blocking: bool,
}

impl Work {
    const ALL: [Work; 4] = [Work::Provision, Work::AfterProvision, Work::Purge, Work::AfterPurge];

    /// What there may be to do for a company, by its state.
    pub(crate) fn of(state: State, purge_has_begun: bool) -> Option<Self> {
        match state {
            State::Provisioning => Some(Work::Provision),
            State::Active | State::Suspended | State::Maintenance => Some(Work::AfterProvision),
            State::Deleted => purge_has_begun.then_some(Work::Purge),
            State::Purged => Some(Work::AfterPurge),
            State::Failed => None,
        }
    }

    /// Its steps, in order.
    pub(crate) fn steps(self, turns: &[Turn]) -> Vec<Step> {
        let hooks = |is_blocking: bool, step: fn(String) -> Step| {
            turns.iter().filter(move |turn| turn.is_blocking == is_blocking).map(move |turn| step(turn.hook.clone()))
        };
        match self {
            Work::Provision => {
                [Step::CreateDatabase, Step::Seed].into_iter().chain(hooks(true, Step::Prepare)).collect()
            }
            Work::AfterProvision => hooks(false, Step::Prepare).collect(),
            // What people gave us goes first, and waits for nobody's hook.
            Work::Purge => [Step::DropDatabase].into_iter().chain(hooks(true, Step::Remove)).collect(),
            Work::AfterPurge => hooks(false, Step::Remove).collect(),
        }
    }

    /// The position of its first step.
    pub(crate) fn first_position(self) -> i32 {
        match self {
            Work::Provision => 0,
            Work::AfterProvision => 500,
            Work::Purge => 1_000,
            Work::AfterPurge => 1_500,
        }
    }

    /// The work whose positions come after its own.
    pub(crate) fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.first_position() > self.first_position())
    }

    /// Which work the step at this position belongs to.
    pub(crate) fn at(position: i32) -> Self {
        let last = Self::ALL.into_iter().rev().find(|work| work.first_position() <= position);
        last.unwrap_or(Work::Provision)
    }

    /// Whether nobody waits for it, so that one step that fails keeps no other back.
    pub(crate) fn is_in_background(self) -> bool {
        matches!(self, Work::AfterProvision | Work::AfterPurge)
    }

    /// Whether it may end without success. A purge that has begun is never given up: nobody could take it back.
    pub(crate) fn can_fail(self) -> bool {
        matches!(self, Work::Provision | Work::AfterProvision)
    }
}

impl Step {
    /// Its name in rows: with a hook, `prepare:storage`.
    pub(crate) fn name(&self) -> String {
        match self {
            Step::CreateDatabase => "create_database".to_owned(),
            Step::Seed => "seed".to_owned(),
            Step::Prepare(hook) => format!("prepare:{hook}"),
            Step::DropDatabase => "drop_database".to_owned(),
            Step::Remove(hook) => format!("remove:{hook}"),
        }
    }

    /// The step of this name; `None` for one of a newer catalog.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.split_once(':') {
            Some(("prepare", hook)) => Some(Step::Prepare(hook.to_owned())),
            Some(("remove", hook)) => Some(Step::Remove(hook.to_owned())),
            Some(_) => None,
            None => [Step::CreateDatabase, Step::Seed, Step::DropDatabase].into_iter().find(|step| step.name() == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> Vec<Turn> {
        [("storage", true), ("billing", false)]
            .map(|(hook, is_blocking)| Turn { hook: hook.to_owned(), is_blocking })
            .into()
    }

    #[test]
    fn a_step_is_found_again_by_its_name_and_its_place() {
        for work in Work::ALL {
            for (step, position) in work.steps(&turns()).into_iter().zip(work.first_position()..) {
                assert_eq!((Step::named(&step.name()), Work::at(position)), (Some(step), work));
            }
        }
        assert_eq!(Step::named("paint:storage"), None);
        assert_eq!(Step::named("prepare"), None);
    }

    #[test]
    fn who_blocks_comes_before_the_state_and_who_does_not_after_it() {
        let names = |work: Work| work.steps(&turns()).iter().map(Step::name).collect::<Vec<_>>();
        assert_eq!(names(Work::Provision), ["create_database", "seed", "prepare:storage"]);
        assert_eq!(names(Work::AfterProvision), ["prepare:billing"]);
        assert_eq!(names(Work::Purge), ["drop_database", "remove:storage"]);
        assert_eq!(names(Work::AfterPurge), ["remove:billing"]);
    }
}
