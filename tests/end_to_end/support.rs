//! What the tests share.

use tenantry_rpc::{Reason, reason_of};
use tonic::Status;
use tonic_types::StatusExt as _;

/// Makes a module per engine with the given tests in it: `async fn name(sandbox: &Sandbox)`.
macro_rules! per_engine {
    ($($name:ident),+ $(,)?) => {
        crate::support::per_engine!(@ sqlite, Sqlite, $($name),+);
        crate::support::per_engine!(@ postgres, Postgres, $($name),+);
        crate::support::per_engine!(@ mariadb, MariaDb, $($name),+);
    };
    // What meets PostgreSQL's catalogue and roles, on its newest version too.
    ($($name:ident),+ $(,)?; postgres_18) => {
        crate::support::per_engine!($($name),+);
        crate::support::per_engine!(@ postgres_18, NewestPostgres, $($name),+);
    };
    (@ $engine:ident, $kind:ident, $($name:ident),+) => {
        mod $engine {
            use tenantry_testkit::sandbox::{Engine, Sandbox};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    let sandbox = Sandbox::start(Engine::$kind).await?;
                    super::$name(&sandbox).await?;
                    sandbox.stop().await
                }
            )+
        }
    };
}

pub(crate) use per_engine;

/// The reason of a refusal.
pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, Status>) -> Option<Reason> {
    reason_of(&result.expect_err("a refusal"))
}

/// The fields that a refusal names.
pub(crate) fn fields<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<String> {
    let status = result.expect_err("a refusal");
    assert_eq!(reason_of(&status), Some(Reason::FieldViolations), "{status:?}");
    let violations = status.get_details_bad_request().map(|request| request.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}
