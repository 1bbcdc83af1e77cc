//! The throwaway servers, for real: they come up locked down, come back after a stop and a crash, and leave nothing.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use tenantry_testkit::servers::{ServerError, ServerOptions, leftovers};

const OWNER: &str = "TENANTRY_TESTKIT_OWNER";
const FOLDER: &str = "folder of the server: ";

type Outcome = Result<(), Box<dyn Error>>;

/// What both engines' tests say the same way.
macro_rules! lifecycle_tests {
    ($server:ty) => {
        #[test]
        fn stop_leaves_no_folder_and_no_process() -> Outcome {
            let server = <$server>::start(ServerOptions::default())?;
            let folder = server.folder().to_path_buf();
            let pid = server.pid().ok_or("it runs")?;
            assert!(leftovers::processes_of(&folder).contains(&pid), "the check sees a running server");
            server.stop()?;
            assert_nothing_left(&folder);
            Ok(())
        }

        #[test]
        fn drop_leaves_no_folder_and_no_process() -> Outcome {
            let server = <$server>::start(ServerOptions::default())?;
            let folder = server.folder().to_path_buf();
            drop(server);
            assert_nothing_left(&folder);
            Ok(())
        }

        #[test]
        fn data_survives_a_stop_and_a_crash() -> Outcome {
            let mut server = <$server>::start(ServerOptions::default())?;
            let url = server.admin_url();
            succeeded(&sql(&url, "CREATE DATABASE kept"))?;

            server.stop_keeping_data()?;
            assert!(!listens(server.port()));
            assert_eq!(server.pid(), None);
            server.restart()?;
            assert_eq!(server.admin_url(), url, "same port, same password");
            succeeded(&sql(&url, "DROP DATABASE kept; CREATE DATABASE kept_too"))?;

            server.kill()?;
            assert!(!listens(server.port()));
            server.restart()?;
            succeeded(&sql(&url, "DROP DATABASE kept_too"))?;
            Ok(server.stop()?)
        }

        #[test]
        fn two_at_once_do_not_meet() -> Outcome {
            let other = std::thread::spawn(|| <$server>::start(ServerOptions::default()));
            let one = <$server>::start(ServerOptions::default())?;
            let other = other.join().map_err(|_| "the other one panicked")??;
            assert_ne!(one.port(), other.port());
            succeeded(&sql(&one.admin_url(), "CREATE DATABASE here"))?;
            succeeded(&sql(&other.admin_url(), "CREATE DATABASE here"))?;
            Ok(())
        }

        /// This test runs itself a second time as the owner of a server, and kills that.
        #[test]
        fn a_killed_owner_takes_its_server_along() -> Outcome {
            if std::env::var_os(OWNER).is_some() {
                let server = <$server>::start(ServerOptions::default())?;
                println!("\n{FOLDER}{}", server.folder().display());
                std::thread::sleep(Duration::from_secs(600));
            }
            let name = concat!(module_path!(), "::a_killed_owner_takes_its_server_along");
            let (_, name) = name.split_once("::").ok_or("the test is in a module")?;
            let folder = kill_owner(name)?;
            wait_until_gone(&folder);
            assert_nothing_left(&folder);
            Ok(())
        }

        #[test]
        fn a_setting_that_the_server_refuses_is_an_error_with_its_log() {
            let options =
                ServerOptions { settings: vec![("no_such_setting".into(), "1".into())], ..Default::default() };
            let refused = <$server>::start(options);
            assert!(
                matches!(&refused, Err(ServerError::Exited { log, .. }) if log.contains("no_such_setting")),
                "{refused:?}"
            );
        }
    };
}

mod postgres {
    use tenantry_testkit::servers::{PostgresPrograms, PostgresServer};

    use super::*;

    lifecycle_tests!(PostgresServer);

    #[test]
    fn the_administrator_is_no_superuser_and_others_are_kept_out() -> Outcome {
        let server = PostgresServer::start(ServerOptions::default())?;
        let admin = server.admin_url();
        let role = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user";
        assert_eq!(succeeded(&sql(&admin, role))?, "f|t|t");

        succeeded(&sql(&admin, "CREATE ROLE tenant LOGIN PASSWORD 'secret'"))?;
        let tenant = format!("postgres://tenant:secret@127.0.0.1:{}/postgres", server.port());
        assert!(failed(&sql(&tenant, "SELECT 1")).contains("permission denied for database"));
        let template = tenant.replace("/postgres", "/template1");
        assert!(failed(&sql(&template, "SELECT 1")).contains("permission denied for database"));

        let without_password = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port());
        assert!(failed(&sql(&without_password, "SELECT 1")).contains("no password supplied"));
        assert_eq!(succeeded(&sql(&server.superuser_url(), "SHOW fsync"))?, "off");
        Ok(())
    }

    fn sql(url: &str, statements: &str) -> std::io::Result<Output> {
        let mut psql = Command::new(PostgresPrograms::find().map_err(std::io::Error::other)?.psql);
        psql.args(["-X", "-w", "-q", "-A", "-t", url]);
        for statement in statements.split("; ") {
            psql.args(["-c", statement]);
        }
        psql.output()
    }
}

mod mariadb {
    use tenantry_testkit::servers::{MariaDbPrograms, MariaDbServer};

    use super::*;

    lifecycle_tests!(MariaDbServer);

    #[test]
    fn the_administrator_has_no_super_and_can_make_a_tenants_account() -> Outcome {
        let server = MariaDbServer::start(ServerOptions::default())?;
        let admin = server.admin_url();
        assert!(failed(&sql(&admin, "SET GLOBAL read_only = ON")).contains("denied"));
        succeeded(&sql(
            &admin,
            "CREATE DATABASE tenant; CREATE USER tenant@'%' IDENTIFIED BY 'secret'; \
             GRANT SELECT, INSERT, CREATE, TRIGGER ON tenant.* TO tenant@'%'",
        ))?;
        let tenant = format!("mysql://tenant:secret@127.0.0.1:{}/tenant", server.port());
        succeeded(&sql(
            &tenant,
            "CREATE TABLE note (id INT); CREATE TRIGGER t BEFORE INSERT ON note FOR EACH ROW SET @x = 1; \
             INSERT INTO note VALUES (1)",
        ))?;
        assert!(failed(&sql(&tenant, "SELECT * FROM mysql.global_priv")).contains("denied"));
        Ok(())
    }

    #[test]
    fn nobody_logs_in_without_a_password() -> Outcome {
        let server = MariaDbServer::start(ServerOptions::default())?;
        // `mariadb.sys`, which owns views, is locked.
        let without = "SELECT CONCAT(User, '@', Host) FROM mysql.global_priv WHERE User = '' \
                       OR (JSON_VALUE(Priv, '$.authentication_string') = '' AND User <> 'PUBLIC' \
                       AND COALESCE(JSON_VALUE(Priv, '$.account_locked'), 0) = 0)";
        assert_eq!(succeeded(&sql(&server.superuser_url(), without))?, "");
        for account in ["root", "", "mysql", "mariadb.sys"] {
            let url = format!("mysql://{account}:@127.0.0.1:{}/mysql", server.port());
            assert!(failed(&sql(&url, "SELECT 1")).contains("denied"), "{account:?} got in");
        }
        assert_eq!(succeeded(&sql(&server.admin_url(), "SELECT @@character_set_server"))?, "utf8mb4");
        Ok(())
    }

    /// `mysql://account:password@host:port/database`
    fn sql(url: &str, statements: &str) -> std::io::Result<Output> {
        let parts: Vec<&str> = url.split(['/', ':', '@']).collect();
        let [_, _, _, account, password, host, port, database] = parts[..] else {
            return Err(std::io::Error::other(format!("{url} is no URL of this kind")));
        };
        Command::new(MariaDbPrograms::find().map_err(std::io::Error::other)?.client)
            .args(["--no-defaults", "--protocol=tcp", "--skip-column-names", "--user", account, "--host", host])
            .args(["--port", port, "--execute", statements, database])
            .env("MYSQL_PWD", password)
            .output()
    }
}

fn assert_nothing_left(folder: &Path) {
    assert!(!folder.exists(), "{} is still there", folder.display());
    assert_eq!(leftovers::processes_of(folder), Vec::<u32>::new());
}

/// SIGKILL, as soon as the owner says that its server runs.
fn kill_owner(test: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut owner = Command::new(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(owner.stdout.take().ok_or("stdout is piped")?);
    let folder = output.lines().map_while(Result::ok).find_map(|line| Some(PathBuf::from(line.strip_prefix(FOLDER)?)));
    owner.kill()?;
    owner.wait()?;
    let folder = folder.ok_or("the owner started no server")?;
    assert!(!leftovers::processes_of(&folder).is_empty(), "the server ran when its owner was killed");
    Ok(folder)
}

fn wait_until_gone(folder: &Path) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(30)
        && (folder.exists() || !leftovers::processes_of(folder).is_empty())
    {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn succeeded(output: &std::io::Result<Output>) -> Result<String, Box<dyn Error>> {
    let output = output.as_ref().map_err(ToString::to_string)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn failed(output: &std::io::Result<Output>) -> String {
    match output {
        Ok(output) if !output.status.success() => String::from_utf8_lossy(&output.stderr).into_owned(),
        other => format!("it did not fail: {other:?}"),
    }
}
