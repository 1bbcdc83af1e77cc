use std::{path::Path, process::Command};

use super::{
    ADMIN_ROLE, PostgresPrograms, ServerError, ServerOptions,
    folder::{self, quoted},
    guardian::Signals,
    process::{Engine, ServerProcess, clean_command},
    secret,
};

/// A throwaway PostgreSQL server, set up as a careful operator would: everyone needs a password, nobody may connect to
/// the maintenance databases but the administrative role, and that role is no superuser. Only durability is missing.
#[derive(Debug)]
pub struct PostgresServer {
    process: ServerProcess<Postgres>,
}

impl PostgresServer {
    /// Whom it runs as when we are root: the first of these that exists.
    pub const USERS: &[&str] = &["postgres", "nobody"];

    /// Initialises a data folder, starts the server and makes the administrative role. Takes about two seconds.
    ///
    /// Does not install anything: see [`super::install::ensure_postgres`].
    pub fn start(options: ServerOptions) -> Result<Self, ServerError> {
        Self::start_with(PostgresPrograms::find()?, options)
    }

    /// The same with these programs, of whichever version.
    pub fn start_with(programs: PostgresPrograms, options: ServerOptions) -> Result<Self, ServerError> {
        let engine =
            Postgres { programs, superuser_password: secret::password()?, admin_password: secret::password()? };
        let process = ServerProcess::start(engine, options)?;
        process.run_sql(&lock_down(&process.engine.admin_password))?;
        Ok(Self { process })
    }

    /// Logs in as [`ADMIN_ROLE`]: CREATEDB and CREATEROLE, no superuser.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url(ADMIN_ROLE, &self.process.engine.admin_password)
    }

    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.url("postgres", &self.process.engine.superuser_password)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.process.port()
    }

    /// The folder that holds everything of this server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// The server's process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// The end of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        folder::log_tail(self.folder())
    }

    /// Ends sessions, shuts down, removes the folder. An error says what is left.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.process.shut_down()
    }

    /// Ends sessions and shuts down. [`Self::restart`] brings the server back.
    pub fn stop_keeping_data(&mut self) -> Result<(), ServerError> {
        self.process.stop_keeping_data()
    }

    /// Ends the server without a checkpoint, as a crash would (an immediate shutdown).
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.process.crash()
    }

    /// Starts the server again, on the same port and folder, with the same passwords. Stops it first if it runs.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.process.restart()
    }

    fn url(&self, role: &str, password: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/postgres", self.port())
    }
}

#[derive(Debug)]
struct Postgres {
    programs: PostgresPrograms,
    superuser_password: String,
    admin_password: String,
}

impl Engine for Postgres {
    const NAME: &'static str = "PostgreSQL";
    const SHORT_NAME: &'static str = "postgres";
    const USERS: &'static [&'static str] = PostgresServer::USERS;
    const SIGNALS: Signals = Signals { stop: "INT", crash: "QUIT" };

    fn write_files(&self, folder: &Path) -> Result<(), ServerError> {
        folder::write(folder, "superuser.password", &self.superuser_password)
    }

    fn init_script(&self, folder: &Path) -> String {
        format!(
            "{initdb} --pgdata={data} --username=postgres --pwfile={password} --auth=scram-sha-256 \
             --encoding=UTF8 --locale=C --no-sync --no-instructions\n",
            initdb = quoted(&self.programs.initdb.to_string_lossy()),
            data = quoted(&data_folder(folder)),
            password = quoted(&folder.join("superuser.password").to_string_lossy()),
        )
    }

    fn server_words(&self, folder: &Path, port: u16, options: &ServerOptions) -> Vec<String> {
        let mut words =
            vec![self.programs.postgres.to_string_lossy().into_owned(), "-D".to_owned(), data_folder(folder)];
        let ours = [
            ("port", port.to_string()),
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("unix_socket_directories", folder.join("socket").to_string_lossy().into_owned()),
            ("max_connections", options.max_connections.to_string()),
            ("shared_buffers", "128MB".to_owned()),
            ("fsync", "off".to_owned()),
            ("synchronous_commit", "off".to_owned()),
            ("full_page_writes", "off".to_owned()),
            ("timezone", "UTC".to_owned()),
        ];
        let theirs = options.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
        // The last one of a name wins.
        for (name, value) in ours.into_iter().chain(theirs) {
            words.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        words
    }

    fn client(&self, port: u16) -> Command {
        let mut client = clean_command(&self.programs.psql);
        client
            .args(["-X", "-q", "-w", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1"])
            .args(["-p", &port.to_string(), "-f", "-"])
            .env("PGPASSWORD", &self.superuser_password)
            .env("PGCONNECT_TIMEOUT", "5");
        client
    }
}

fn data_folder(folder: &Path) -> String {
    folder.join("data").to_string_lossy().into_owned()
}

/// New databases are cloned from `template1`, which needs no CONNECT; but tools connect to it, so the administrative
/// role may.
fn lock_down(admin_password: &str) -> String {
    format!(
        "CREATE ROLE {ADMIN_ROLE} LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD '{admin_password}';\n\
         REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;\n\
         GRANT CONNECT, TEMPORARY ON DATABASE postgres, template1 TO {ADMIN_ROLE};\n"
    )
}
