use std::{
    io::{self, BufRead as _},
    path::{Path, PathBuf},
    thread,
};

use tenantry_testkit::servers::{MariaDbServer, PostgresServer, ServerError, ServerOptions, install};

use crate::{
    failure::{Failure, Outcome},
    run_folder::RunFolder,
    step::step,
    tools::Tools,
};

/// One server of each engine, for one run of the tests.
#[derive(Debug)]
pub(crate) struct Servers {
    postgres: PostgresServer,
    mariadb: MariaDbServer,
}

impl Servers {
    /// Installs what is missing, one after the other (a package manager has one lock), then starts both at once.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        install::ensure_postgres()?;
        install::ensure_mariadb()?;
        let options = ServerOptions { parent_folder: Some(PathBuf::from(folder)), ..ServerOptions::default() };
        let for_mariadb = options.clone();
        let mariadb = thread::spawn(move || MariaDbServer::start(for_mariadb));
        let postgres = PostgresServer::start(options);
        let mariadb = mariadb.join().map_err(|_| Failure::new("starting MariaDB panicked"))?;
        let servers = Self { postgres: postgres?, mariadb: mariadb? };
        println!("    PostgreSQL on port {}, MariaDB on port {}", servers.postgres.port(), servers.mariadb.port());
        Ok(servers)
    }

    /// What tests read. The same names are in the README.
    pub(crate) fn variables(&self, tools: &Tools) -> [(&'static str, String); 5] {
        [
            ("TENANTRY_TEST_POSTGRES_URL", self.postgres.admin_url()),
            ("TENANTRY_TEST_POSTGRES_SUPERUSER_URL", self.postgres.superuser_url()),
            ("TENANTRY_TEST_MARIADB_URL", self.mariadb.admin_url()),
            ("TENANTRY_TEST_BUF", tools.buf.to_string_lossy().into_owned()),
            ("TENANTRY_TEST_PYTHON", tools.python.to_string_lossy().into_owned()),
        ]
    }

    pub(crate) fn stop(self) -> Result<(), ServerError> {
        let postgres = self.postgres.stop();
        self.mariadb.stop().and(postgres)
    }
}

/// For trying things by hand: servers stay up until Enter, the end of the input, or Ctrl-C.
pub(crate) fn until_enter(tools: &Tools) -> Outcome {
    let run = RunFolder::make()?;
    let servers = step("servers", || Servers::start(run.path()))?;
    for (name, value) in servers.variables(tools) {
        println!("export {name}='{value}'");
    }
    println!("Enter stops the servers.");
    // An input that cannot be read has ended, too.
    let _ = io::stdin().lock().read_line(&mut String::new());
    step("stop", || {
        servers.stop()?;
        run.close()
    })
}
