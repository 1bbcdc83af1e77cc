//! The operator's command line: every command is an RPC, and says how it ended by its exit code.

mod connection;
mod exit;
mod fleet;
mod make;
mod one;
mod output;
mod policy;
mod reconcile;
mod rollouts;
mod servers;
mod tls;

use clap::{Args, CommandFactory, Subcommand};

pub use connection::Connection;
pub use exit::{Exit, failure_of};

pub(crate) use exit::refusal;
pub(crate) use output::Output;

use connection::Session;

/// What an operator can say.
#[derive(Subcommand)]
pub enum OperatorCommand {
    /// Migrates the central database; with --all, then every company's.
    Migrate(fleet::Migrate),
    /// Migrates one company's database.
    MigrateTenant(one::MigrateTenant),
    /// Migrates companies' databases: a rollout.
    MigrateTenants(fleet::MigrateTenants),
    /// Takes migrations back: what the last run applied, unless told otherwise.
    Rollback(one::Rollback),
    /// Takes every migration of a database in maintenance back.
    Reset(one::Emptied),
    /// Takes every migration of a database in maintenance back, and applies them again.
    Refresh(one::Emptied),
    /// Drops everything in a database in maintenance, and applies every migration.
    Fresh(one::Emptied),
    /// Puts the seed data in.
    Seed(one::OneDatabase),
    /// The fleet's versions; or one database beside its migrations.
    Status(one::Status),
    /// The exact SQL that a migration or a rollback would run.
    Plan(one::Plan),
    /// What of a company's database is not as its migrations make it.
    Drift(one::Company),
    /// Databases without a company, companies without a database, and what was cut short; mends it when told to.
    Reconcile(reconcile::Reconcile),
    /// Companies, with their states and versions.
    Companies(fleet::Companies),
    /// Database servers, and where new companies go.
    #[command(subcommand)]
    Servers(servers::Servers),
    /// Rollouts under way and past.
    #[command(subcommand)]
    Rollout(rollouts::Rollout),
    /// Writes a new migration.
    #[command(subcommand)]
    Make(make::Make),
    /// Prints shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// How answers are written.
#[derive(Args, Clone, Copy)]
pub struct Format {
    /// Writes JSON: one document, or one a line while something is watched.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Carries a command out; `program` is the whole command line, for completions.
pub async fn run<Program: CommandFactory>(
    command: OperatorCommand,
    connection: Connection,
    format: Format,
) -> anyhow::Result<Exit> {
    let output = Output::new(format.json);
    match command {
        OperatorCommand::Make(make) => make.run(&output),
        OperatorCommand::Completions { shell } => {
            let mut program = Program::command();
            let name = program.get_name().to_owned();
            clap_complete::generate(shell, &mut program, name, &mut std::io::stdout());
            Ok(Exit::Done)
        }
        OperatorCommand::Migrate(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::MigrateTenant(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::MigrateTenants(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::Rollback(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::Reset(command) => command.reset(&Session::open(connection).await?, &output).await,
        OperatorCommand::Refresh(command) => command.refresh(&Session::open(connection).await?, &output).await,
        OperatorCommand::Fresh(command) => command.fresh(&Session::open(connection).await?, &output).await,
        OperatorCommand::Seed(command) => command.seed(&Session::open(connection).await?, &output).await,
        OperatorCommand::Status(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::Plan(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::Drift(command) => command.drift(&Session::open(connection).await?, &output).await,
        OperatorCommand::Reconcile(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::Companies(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::Servers(command) => command.run(&Session::open(connection).await?, &output).await,
        OperatorCommand::Rollout(command) => command.run(&Session::open(connection).await?, &output).await,
    }
}
