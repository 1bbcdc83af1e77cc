//! Whole traces as they must be, in the order of [`Trace::shape`](super::receiver::Trace::shape).

use tenantry_testkit::sandbox::Engine;

/// The engine as the conventions call it.
pub(super) fn system(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres | Engine::NewestPostgres => "postgresql",
        Engine::MariaDb => "mysql",
        Engine::Sqlite => "sqlite",
    }
}

/// The first person of a company.
pub(super) fn create_person(engine: Engine) -> String {
    include_str!("create_person.txt").replace("DB:", &format!("{}:", system(engine)))
}

/// A company, on PostgreSQL; what the migrator does with the database differs elsewhere.
pub(super) fn register_company(engine: Engine) -> String {
    include_str!("register_company.txt").replace(" DB", &format!(" {}", system(engine)))
}

/// A shape without what the migrator does in answer to a call.
pub(super) fn without_the_migrators(shape: &str) -> String {
    let is_kept = |line: &&str| !line.trim_start().starts_with("migrator") || line.contains("migrator server:");
    shape.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
}
