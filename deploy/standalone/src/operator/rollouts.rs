//! Rollouts, under way and past.

use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use tenantry_api::migrator::v1::{
    CancelRolloutRequest, GetRolloutRequest, ListRolloutTargetsRequest, ListRolloutsRequest, PauseRolloutRequest,
    ResumeRolloutRequest, RetryFailedTargetsRequest, RollbackRolloutRequest, Rollout as Message, RolloutState,
    RolloutTarget, RolloutTargetState, WatchRolloutRequest, WatchRolloutResponse,
};

use super::connection::Session;
use super::exit::Exit;
use super::output::{Output, table};
use super::policy::{AmountFlag, PolicyFlags};

const MESSAGE: &str = "tenantry.migrator.v1.Rollout";
/// A watch that was cut off is begun again after so long.
const WATCH_AGAIN: Duration = Duration::from_secs(1);
/// How often a watch is begun again without having seen anything.
const WATCH_TRIES: u32 = 30;

#[derive(Subcommand)]
pub enum Rollout {
    /// All rollouts, newest first.
    List,
    /// One rollout, with its failed targets.
    Show(Which),
    /// Follows a rollout until it comes to rest.
    Watch(Which),
    /// Begins no further database.
    Pause(Which),
    /// Goes on with a paused rollout, or with a halted one under a larger budget.
    Resume(Resume),
    /// Ends a rollout: what has not begun never will.
    Cancel(Which),
    /// Tries the failed databases again.
    Retry(Followed),
    /// Takes back exactly what a rollout has applied, only where it has.
    Rollback(TakeBack),
}

#[derive(Args)]
pub struct Which {
    /// The rollout's id. Without it: the newest.
    id: Option<String>,
}

#[derive(Args)]
pub struct Followed {
    #[command(flatten)]
    which: Which,

    /// Does not wait for the end.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Args)]
pub struct Resume {
    #[command(flatten)]
    followed: Followed,

    /// A new failure budget, which a halted rollout needs.
    #[arg(long, value_name = "N|N%")]
    max_failures: Option<AmountFlag>,
}

#[derive(Args)]
pub struct TakeBack {
    #[command(flatten)]
    followed: Followed,

    #[command(flatten)]
    policy: PolicyFlags,
}

impl Rollout {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let mut rollouts = session.rollouts();
        match self {
            Rollout::List => list(session, output).await,
            Rollout::Show(which) => {
                let request = GetRolloutRequest { id: which.id(session).await? };
                let rollout = rollouts.get_rollout(session.request(request)?).await?.into_inner();
                show(output, &rollout)?;
                show_failures(session, output, &rollout).await?;
                Ok(exit_of(&rollout))
            }
            Rollout::Watch(which) => {
                let request = GetRolloutRequest { id: which.id(session).await? };
                let rollout = rollouts.get_rollout(session.request(request)?).await?.into_inner();
                follow(session, output, rollout).await
            }
            Rollout::Pause(which) => {
                let request = PauseRolloutRequest { id: which.id(session).await? };
                show(output, &rollouts.pause_rollout(session.request(request)?).await?.into_inner())
            }
            Rollout::Resume(Resume { followed, max_failures }) => {
                let failure_budget = max_failures.map(AmountFlag::message);
                let request = ResumeRolloutRequest { id: followed.which.id(session).await?, failure_budget };
                let rollout = rollouts.resume_rollout(session.request(request)?).await?.into_inner();
                followed.end(session, output, rollout).await
            }
            Rollout::Cancel(which) => {
                let request = CancelRolloutRequest { id: which.id(session).await? };
                show(output, &rollouts.cancel_rollout(session.request(request)?).await?.into_inner())
            }
            Rollout::Retry(followed) => {
                let request = RetryFailedTargetsRequest { id: followed.which.id(session).await? };
                let rollout = rollouts.retry_failed_targets(session.request(request)?).await?.into_inner();
                followed.end(session, output, rollout).await
            }
            Rollout::Rollback(TakeBack { followed, policy }) => {
                let id = followed.which.id(session).await?;
                let policy = Some(policy.message());
                let request = RollbackRolloutRequest { id, policy, request_id: String::new() };
                let rollout = rollouts.rollback_rollout(session.request(request)?).await?.into_inner();
                followed.end(session, output, rollout).await
            }
        }
    }
}

impl Which {
    async fn id(&self, session: &Session) -> anyhow::Result<String> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let request = ListRolloutsRequest { page_size: 1, ..Default::default() };
        let page = session.rollouts().list_rollouts(session.request(request)?).await?.into_inner();
        let newest = page.rollouts.into_iter().next();
        Ok(newest.ok_or_else(|| anyhow::anyhow!("there has been no rollout yet"))?.id)
    }
}

impl Followed {
    async fn end(&self, session: &Session, output: &Output, rollout: Message) -> anyhow::Result<Exit> {
        if self.no_wait { show(output, &rollout) } else { follow(session, output, rollout).await }
    }
}

async fn list(session: &Session, output: &Output) -> anyhow::Result<Exit> {
    let request = session.request(ListRolloutsRequest::default())?;
    let page = session.rollouts().list_rollouts(request).await?.into_inner();
    if output.is_json() {
        for rollout in &page.rollouts {
            output.answer(MESSAGE, rollout, |_| String::new())?;
        }
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = page
        .rollouts
        .iter()
        .map(|rollout| vec![rollout.id.clone(), state(rollout).to_owned(), goal(rollout), counts(rollout)])
        .collect();
    output.line(&table(&rows))?;
    Ok(Exit::Done)
}

/// One rollout, once.
pub(crate) fn show(output: &Output, rollout: &Message) -> anyhow::Result<Exit> {
    output.answer(MESSAGE, rollout, text)?;
    Ok(Exit::Done)
}

fn text(rollout: &Message) -> String {
    let reason = if rollout.state_reason.is_empty() { String::new() } else { format!(": {}", rollout.state_reason) };
    let mut text = format!("rollout {} {}{reason}\n{}: {}", rollout.id, state(rollout), goal(rollout), counts(rollout));
    if rollout.joined_later > 0 {
        text.push_str(&format!("\n{} databases joined later and are not at that version", rollout.joined_later));
    }
    text
}

fn state(rollout: &Message) -> &'static str {
    rollout.state().as_str_name().trim_start_matches("ROLLOUT_STATE_")
}

fn goal(rollout: &Message) -> String {
    match rollout.rollback_of.as_str() {
        "" => format!("to {}", rollout.target_version),
        taken_back => format!("takes {taken_back} back"),
    }
}

fn counts(rollout: &Message) -> String {
    let counts = rollout.counts.unwrap_or_default();
    let all = [
        (counts.succeeded, "done"),
        (counts.running, "running"),
        (counts.pending, "waiting"),
        (counts.failed, "failed"),
        (counts.skipped, "there already"),
        (counts.cancelled, "cancelled"),
    ];
    let said: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("{} of {}", said.join(", "), counts.total)
}

/// How a rollout at rest ends a command.
fn exit_of(rollout: &Message) -> Exit {
    match rollout.state() {
        RolloutState::Succeeded => Exit::Done,
        RolloutState::Failed => Exit::Partly,
        RolloutState::Running | RolloutState::Paused | RolloutState::Halted | RolloutState::Cancelled => {
            Exit::Unfinished
        }
        RolloutState::Unspecified => Exit::Failed,
    }
}

/// Follows it to its rest: a bar on a terminal, a line per change otherwise.
pub(crate) async fn follow(session: &Session, output: &Output, rollout: Message) -> anyhow::Result<Exit> {
    let bar = Bar::new(output, &rollout)?;
    let (mut last, mut tries) = (rollout, 0);
    while last.state() == RolloutState::Running || is_running(&last) {
        match watch(session, output, &bar, &mut last).await {
            // A migrator that stops, or falls over, is no end of the rollout: another one goes on.
            Err(error) if tries < WATCH_TRIES && super::failure_of(&error).1 == Exit::Unreachable => {
                tries += 1;
                tokio::time::sleep(WATCH_AGAIN).await;
            }
            Err(error) => return Err(error),
            Ok(()) => tries = 0,
        }
    }
    bar.finish();
    if !output.is_json() {
        show(output, &last)?;
    }
    show_failures(session, output, &last).await?;
    Ok(exit_of(&last))
}

fn is_running(rollout: &Message) -> bool {
    rollout.counts.is_some_and(|counts| counts.running > 0)
}

async fn watch(session: &Session, output: &Output, bar: &Bar, last: &mut Message) -> anyhow::Result<()> {
    let request = WatchRolloutRequest { id: last.id.clone() };
    let mut seen = session.rollouts().watch_rollout(session.request(request)?).await?.into_inner();
    while let Some(glance) = seen.message().await? {
        bar.note(output, &glance)?;
        if let Some(rollout) = glance.rollout {
            *last = rollout;
        }
    }
    Ok(())
}

struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(output: &Output, rollout: &Message) -> anyhow::Result<Self> {
        if !output.is_live() {
            if !output.is_json() {
                output.line(&text(rollout))?;
            }
            return Ok(Self(None));
        }
        let counts = rollout.counts.unwrap_or_default();
        let bar = ProgressBar::new(u64::try_from(counts.total - counts.skipped).unwrap_or(0));
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
        Ok(Self(Some(bar)))
    }

    fn note(&self, output: &Output, glance: &WatchRolloutResponse) -> anyhow::Result<()> {
        let rollout = glance.rollout.clone().unwrap_or_default();
        let counts = rollout.counts.unwrap_or_default();
        let pace = match glance.time_left {
            Some(left) if counts.pending + counts.running > 0 => {
                format!("{:.0} a second, {} s left", glance.targets_per_second, left.seconds)
            }
            Some(_) | None => String::new(),
        };
        match &self.0 {
            Some(bar) => {
                bar.set_position(u64::try_from(counts.succeeded + counts.failed).unwrap_or(0));
                let soaks = if rollout.soak_end_time.is_some() { ", soaking" } else { "" };
                let failed = if counts.failed > 0 { format!(", {} failed", counts.failed) } else { String::new() };
                bar.set_message(format!("wave {}/{}{soaks}{failed} {pace}", rollout.wave, rollout.waves));
                Ok(())
            }
            None if output.is_json() => {
                output.answer("tenantry.migrator.v1.WatchRolloutResponse", glance, |_| String::new())
            }
            None => output.line(format!("{} {pace}", self::counts(&rollout)).trim_end()),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

async fn show_failures(session: &Session, output: &Output, rollout: &Message) -> anyhow::Result<()> {
    if output.is_json() || rollout.counts.is_none_or(|counts| counts.failed == 0) {
        return Ok(());
    }
    let request = ListRolloutTargetsRequest {
        rollout_id: rollout.id.clone(),
        state: RolloutTargetState::Failed.into(),
        ..Default::default()
    };
    let page = session.rollouts().list_rollout_targets(session.request(request)?).await?.into_inner();
    output.line(&table(&page.targets.iter().map(failure_row).collect::<Vec<_>>()))
}

/// A database that failed, and why.
pub(crate) fn failure_row(target: &RolloutTarget) -> Vec<String> {
    let database = format!("{}/{}", target.server, target.database);
    vec![target.company_id.clone(), database, target.error_reason.clone(), target.error_message.clone()]
}
