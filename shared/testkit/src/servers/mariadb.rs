use std::{path::Path, process::Command};

use super::{
    ADMIN_ROLE, MariaDbPrograms, ServerError, ServerOptions,
    folder::{self, quoted},
    guardian::Signals,
    process::{Engine, ServerProcess, clean_command},
    secret,
};

/// What a migrator does on a server: databases, their tables, their accounts, and nothing that is the server's own
/// (no SUPER, FILE, SHUTDOWN, replication). It grants what it has, because tenants' accounts get their rights from it.
/// PROCESS and CONNECTION ADMIN let it end a tenant's connections before a drop or a move.
const ADMIN_PRIVILEGES: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, \
    CREATE TEMPORARY TABLES, LOCK TABLES, CREATE VIEW, SHOW VIEW, TRIGGER, EVENT, EXECUTE, CREATE ROUTINE, \
    ALTER ROUTINE, SHOW DATABASES, CREATE USER, RELOAD, PROCESS, CONNECTION ADMIN";

/// A throwaway MariaDB server: passwords for everyone, no anonymous accounts, an administrative account without SUPER.
/// Only durability is missing.
#[derive(Debug)]
pub struct MariaDbServer {
    process: ServerProcess<MariaDb>,
}

impl MariaDbServer {
    /// Whom it runs as when we are root: the first of these that exists.
    pub const USERS: &[&str] = &["mysql", "nobody"];

    /// Initialises a data folder with its accounts and starts the server. Takes a few seconds.
    ///
    /// Does not install anything: see [`super::install::ensure_mariadb`].
    pub fn start(options: ServerOptions) -> Result<Self, ServerError> {
        let engine = MariaDb {
            programs: MariaDbPrograms::find()?,
            superuser_password: secret::password()?,
            admin_password: secret::password()?,
        };
        ServerProcess::start(engine, options).map(|process| Self { process })
    }

    /// Logs in as [`ADMIN_ROLE`], which may come from any host.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url(ADMIN_ROLE, &self.process.engine.admin_password)
    }

    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.url("root", &self.process.engine.superuser_password)
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

    /// Shuts down and removes the folder. An error says what is left.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.process.shut_down()
    }

    /// Shuts down. [`Self::restart`] brings the server back.
    pub fn stop_keeping_data(&mut self) -> Result<(), ServerError> {
        self.process.stop_keeping_data()
    }

    /// Ends the server at once, as a crash would (SIGKILL).
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.process.crash()
    }

    /// Starts the server again, on the same port and folder, with the same passwords. Stops it first if it runs.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.process.restart()
    }

    fn url(&self, account: &str, password: &str) -> String {
        format!("mysql://{account}:{password}@127.0.0.1:{}/mysql", self.port())
    }
}

#[derive(Debug)]
struct MariaDb {
    programs: MariaDbPrograms,
    superuser_password: String,
    admin_password: String,
}

impl Engine for MariaDb {
    const NAME: &'static str = "MariaDB";
    const SHORT_NAME: &'static str = "mariadb";
    const USERS: &'static [&'static str] = MariaDbServer::USERS;
    const SIGNALS: Signals = Signals { stop: "TERM", crash: "KILL" };

    fn write_files(&self, folder: &Path) -> Result<(), ServerError> {
        folder::write(folder, "accounts.sql", &accounts(&self.superuser_password, &self.admin_password))
    }

    /// The accounts are made while nobody can connect yet, so that root never has an empty password on a port.
    fn init_script(&self, folder: &Path) -> String {
        format!(
            "set -e\n\
             {install_db} --no-defaults --datadir={data} --auth-root-authentication-method=normal \
             --skip-test-db --skip-name-resolve --innodb-flush-log-at-trx-commit=0\n\
             {server} --no-defaults --bootstrap --datadir={data} <{accounts}\n",
            install_db = quoted(&self.programs.install_db.to_string_lossy()),
            server = quoted(&self.programs.server.to_string_lossy()),
            data = quoted(&data_folder(folder)),
            accounts = quoted(&folder.join("accounts.sql").to_string_lossy()),
        )
    }

    fn server_words(&self, folder: &Path, port: u16, options: &ServerOptions) -> Vec<String> {
        let ours = [
            ("datadir", data_folder(folder)),
            ("port", port.to_string()),
            ("bind-address", "127.0.0.1".to_owned()),
            ("socket", folder.join("socket/mariadb.sock").to_string_lossy().into_owned()),
            ("pid-file", folder.join("socket/mariadb.pid").to_string_lossy().into_owned()),
            ("max-connections", options.max_connections.to_string()),
            ("skip-name-resolve", "ON".to_owned()),
            ("innodb-flush-log-at-trx-commit", "0".to_owned()),
            ("innodb-buffer-pool-size", "64M".to_owned()),
            ("innodb-log-file-size", "32M".to_owned()),
            ("character-set-server", "utf8mb4".to_owned()),
            ("default-time-zone", "+00:00".to_owned()),
        ];
        let theirs = options.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut words = vec![self.programs.server.to_string_lossy().into_owned(), "--no-defaults".to_owned()];
        // The last one of a name wins.
        words.extend(ours.into_iter().chain(theirs).map(|(name, value)| format!("--{name}={value}")));
        words
    }

    fn client(&self, port: u16) -> Command {
        let mut client = clean_command(&self.programs.client);
        client
            .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=root", "--connect-timeout=5"])
            .args(["--port", &port.to_string()])
            .env("MYSQL_PWD", &self.superuser_password);
        client
    }
}

fn data_folder(folder: &Path) -> String {
    folder.join("data").to_string_lossy().into_owned()
}

/// FLUSH PRIVILEGES first: without it the bootstrap server knows no accounts. `root@127.0.0.1` is what a root that
/// logs in over TCP is called when names are not resolved.
fn accounts(superuser_password: &str, admin_password: &str) -> String {
    format!(
        "FLUSH PRIVILEGES;\n\
         DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');\n\
         FLUSH PRIVILEGES;\n\
         ALTER USER 'root'@'localhost' IDENTIFIED BY '{superuser_password}';\n\
         CREATE USER 'root'@'127.0.0.1' IDENTIFIED BY '{superuser_password}';\n\
         GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n\
         CREATE USER '{ADMIN_ROLE}'@'%' IDENTIFIED BY '{admin_password}';\n\
         GRANT {ADMIN_PRIVILEGES} ON *.* TO '{ADMIN_ROLE}'@'%' WITH GRANT OPTION;\n"
    )
}
