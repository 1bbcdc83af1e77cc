use std::{
    fs,
    io::{self, BufRead as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use tenantry_testkit::servers::{MariaDbServer, PostgresServer, ServerOptions, install};

use crate::{
    failure::{Failure, Outcome, doing},
    run_folder::RunFolder,
    step::step,
    tools::Tools,
};

/// One server of each engine, for one run of the tests, and one of PostgreSQL's newest major version.
#[derive(Debug)]
pub(crate) struct Servers {
    postgres: PostgresServer,
    newest: PostgresServer,
    newest_programs: PathBuf,
    mariadb: MariaDbServer,
}

impl Servers {
    /// Installs what is missing, one after the other (a package manager has one lock), then starts both at once.
    pub(crate) fn start(tools: &Tools, folder: &Path) -> Outcome<Self> {
        let programs = install::ensure_postgres()?;
        install::ensure_mariadb()?;
        // Servers run as a user of the system, who need not be let into the workspace.
        let newest_programs = folder.join("newest-postgres");
        copy(&tools.newest_postgres, &newest_programs)?;
        let options = ServerOptions { parent_folder: Some(PathBuf::from(folder)), ..ServerOptions::default() };
        let for_mariadb = options.clone();
        let mariadb = thread::spawn(move || MariaDbServer::start(for_mariadb));
        let newest = PostgresServer::start_with(programs.clone().with_server_of(&newest_programs), options.clone());
        let postgres = PostgresServer::start_with(programs, options);
        let mariadb = mariadb.join().map_err(|_| Failure::new("starting MariaDB panicked"))?;
        let servers = Self { postgres: postgres?, newest: newest?, newest_programs, mariadb: mariadb? };
        let [postgres, newest, mariadb] = [servers.postgres.port(), servers.newest.port(), servers.mariadb.port()];
        println!("    PostgreSQL on port {postgres}, its newest version on port {newest}, MariaDB on port {mariadb}");
        Ok(servers)
    }

    /// What tests read. The same names are in the README.
    pub(crate) fn variables(&self, tools: &Tools) -> [(&'static str, String); 8] {
        [
            ("TENANTRY_TEST_POSTGRES_URL", self.postgres.admin_url()),
            ("TENANTRY_TEST_POSTGRES_SUPERUSER_URL", self.postgres.superuser_url()),
            ("TENANTRY_TEST_NEWEST_POSTGRES_URL", self.newest.admin_url()),
            ("TENANTRY_TEST_MARIADB_URL", self.mariadb.admin_url()),
            ("TENANTRY_TEST_BUF", tools.buf.to_string_lossy().into_owned()),
            ("TENANTRY_TEST_PYTHON", tools.python.to_string_lossy().into_owned()),
            ("TENANTRY_TEST_ENVOY", tools.envoy.to_string_lossy().into_owned()),
            ("TENANTRY_TEST_PROMTOOL", tools.promtool.to_string_lossy().into_owned()),
        ]
    }

    pub(crate) fn stop(self) -> Outcome {
        let [postgres, newest] = [self.postgres.stop(), self.newest.stop()];
        let gone = fs::remove_dir_all(&self.newest_programs).map_err(doing("remove the newest PostgreSQL's programs"));
        self.mariadb.stop().and(postgres).and(newest)?;
        gone
    }
}

/// Links and rights included.
fn copy(from: &Path, to: &Path) -> Outcome {
    let copied = Command::new("cp").arg("-R").arg("-p").arg(from).arg(to).status();
    match copied.map_err(doing("run cp"))?.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("{} cannot be copied to {}", from.display(), to.display()))),
    }
}

/// For trying things by hand: servers stay up until Enter, the end of the input, or Ctrl-C.
pub(crate) fn until_enter(tools: &Tools) -> Outcome {
    let run = RunFolder::make()?;
    let servers = step("servers", || Servers::start(tools, run.path()))?;
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
