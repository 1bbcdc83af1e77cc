//! A database that somebody else has made becomes a tenant's: its objects get the owner and the rights that ours have,
//! and everybody else is shut out.

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr, Statement};
use tenantry_migration::{MigrationError, migrate};
use tenantry_store::driver;

use super::admin::Admin;
use super::{PostgresServer, Roles, credentials, template};
use crate::ident::Ident;
use crate::servers::adoption::{Adoption, note_baseline, survey};
use crate::servers::{NewTenant, ServerError, connect_one};

impl PostgresServer {
    /// Whether it could be adopted. Only reads.
    pub(crate) async fn check_adoption(&self, name: &Ident, adoption: Adoption<'_>) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let adoptable = self.expect_adoptable(&mut admin, name).await;
        admin.close().await?;
        adoptable?;
        let db = self.open_as_found(name).await?;
        let surveyed = survey_as_found(&db, adoption).await;
        db.close().await?;
        surveyed
    }

    /// `still_wanted` is asked under the lock that dropping takes too.
    pub(crate) async fn adopt(
        &self,
        tenant: &NewTenant,
        adoption: Adoption<'_>,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let adopted = self.adopt_with(&mut admin, tenant, adoption, still_wanted).await;
        // Closing gives the lock back, whatever happened.
        admin.close().await?;
        adopted?;
        let db = self.open(&tenant.name).await?;
        let migrated = migrate(&db, adoption.set, None, adoption.run).await;
        db.close().await?;
        Ok(migrated.map(drop)?)
    }

    async fn adopt_with(
        &self,
        admin: &mut Admin,
        tenant: &NewTenant,
        adoption: Adoption<'_>,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let roles = self.roles()?;
        admin.lock(&tenant.name).await?;
        still_wanted.await?;
        self.expect_adoptable(admin, &tenant.name).await?;
        template::ensure_shared_roles(admin, &roles).await?;
        let db = self.open_as_found(&tenant.name).await?;
        let taken = async {
            survey_as_found(&db, adoption).await?;
            take_over(&db, &tenant.name, &roles).await
        };
        let taken = taken.await;
        db.close().await?;
        taken?;
        let db = self.open(&tenant.name).await?;
        let noted = async {
            note_baseline(&db, adoption).await?;
            db.execute_unprepared(&template::ledger_rights(&roles)).await.map(drop).map_err(ServerError::from)
        };
        let noted = noted.await;
        db.close().await?;
        noted?;
        credentials::ensure_login(admin, &roles, tenant).await?;
        self.open_door(admin, &tenant.name, &tenant.role).await
    }

    async fn expect_adoptable(&self, admin: &mut Admin, name: &Ident) -> Result<(), ServerError> {
        if !admin.database_exists(name).await? {
            return Err(ServerError::NotAdoptable(format!("the server has no database {:?}", name.as_str())));
        }
        // By default the maintenance database has the name of the user.
        let maintenance = self.options.get_database().unwrap_or_else(|| self.options.get_username());
        if name.as_str() == maintenance || name.as_str() == "postgres" || admin.template_exists(name).await? {
            let message = format!("{:?} is the maintenance database or a template, and no company's", name.as_str());
            return Err(ServerError::NotAdoptable(message));
        }
        Ok(())
    }

    /// As the administrator: what is there is not the owner role's yet.
    async fn open_as_found(&self, name: &Ident) -> Result<DatabaseConnection, ServerError> {
        let mut options = ConnectOptions::new(&self.url);
        let name = name.as_str().to_owned();
        options.map_sqlx_postgres_opts(move |options| options.database(&name));
        match connect_one(options).await {
            Err(ServerError::Migration(MigrationError::Database { source, .. })) => Err(not_allowed(source)),
            opened => opened,
        }
    }
}

async fn survey_as_found(db: &DatabaseConnection, adoption: Adoption<'_>) -> Result<(), ServerError> {
    expect_rights(db).await?;
    survey(db, adoption).await
}

/// The administrator is no superuser: what others own can be changed by a member of their roles only.
async fn expect_rights(db: &DatabaseConnection) -> Result<(), ServerError> {
    let query = "SELECT string_agg(DISTINCT rolname::text, ', ') AS owners FROM pg_roles r WHERE r.oid IN ( \
                   SELECT c.relowner FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace \
                     AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
                     AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.objid = c.oid AND x.deptype = 'e') \
                   UNION SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()) \
                 AND NOT pg_has_role(r.oid, 'USAGE')";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), query)).await?;
    let owners: Option<String> = row.map(|row| row.try_get("", "owners")).transpose()?.flatten();
    match owners {
        None => Ok(()),
        Some(owners) => Err(ServerError::NotAdoptable(format!(
            "what is in it belongs to {owners}; grant the migrator's login on this server membership of that"
        ))),
    }
}

/// In one transaction; a connection that fails in it is closed.
async fn take_over(db: &DatabaseConnection, name: &Ident, roles: &Roles) -> Result<(), ServerError> {
    let (database, owner) = (name.quoted(), roles.owner.quoted());
    let statements = [
        "BEGIN".to_owned(),
        format!("ALTER DATABASE {database} OWNER TO {owner}"),
        format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
        for_each(&others_on_database(name, roles)),
        for_each(&objects_of_others(roles)),
        for_each(&others_on_objects(roles)),
        format!("SET LOCAL ROLE {owner}"),
        template::rights(roles),
        for_each(&rights_on_what_is_there(roles)),
        "COMMIT".to_owned(),
    ];
    db.execute_unprepared(&statements.join("; ")).await.map(drop).map_err(not_allowed)
}

/// Runs each statement that a query makes. The server quotes the names in them.
fn for_each(query: &str) -> String {
    format!("DO $do$ DECLARE change text; BEGIN FOR change IN {query} LOOP EXECUTE change; END LOOP; END $do$")
}

/// Whoever was let in by name.
fn others_on_database(name: &Ident, roles: &Roles) -> String {
    let (name, owner) = (name.as_str(), roles.owner.as_str());
    format!(
        "SELECT DISTINCT format('REVOKE ALL ON DATABASE %I FROM %s CASCADE', d.datname, a.grantee::regrole) \
         FROM pg_database d, aclexplode(d.datacl) a \
         WHERE d.datname = '{name}' AND a.grantee NOT IN (0, '{owner}'::regrole)"
    )
}

/// What extensions own stays with them, and a serial's sequence goes with its table.
fn objects_of_others(roles: &Roles) -> String {
    let owner = roles.owner.as_str();
    let to = format!("OWNER TO {}", roles.owner.quoted());
    let ours = |class: &str, oid: &str, by: &str| {
        format!(
            "{by} <> '{owner}'::regrole AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = '{class}'::regclass \
             AND x.objid = {oid} AND x.deptype IN ('e', 'a', 'i'))"
        )
    };
    format!(
        "SELECT format('ALTER %s %s {to}', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' \
           WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, c.oid::regclass) FROM pg_class c \
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND {} \
         UNION ALL SELECT format('ALTER ROUTINE %s {to}', p.oid::regprocedure) FROM pg_proc p \
         WHERE p.pronamespace = 'public'::regnamespace AND {} \
         UNION ALL SELECT format('ALTER %s %s {to}', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, \
           t.oid::regtype) FROM pg_type t \
         WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r') AND {}",
        ours("pg_class", "c.oid", "c.relowner"),
        ours("pg_proc", "p.oid", "p.proowner"),
        ours("pg_type", "t.oid", "t.typowner"),
    )
}

/// Rights that somebody else was given.
fn others_on_objects(roles: &Roles) -> String {
    let (owner, group) = (roles.owner.as_str(), roles.group.as_str());
    format!(
        "SELECT DISTINCT format('REVOKE ALL ON %s %s FROM %s CASCADE', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' \
           ELSE 'TABLE' END, c.oid::regclass, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) \
         FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'public'::regnamespace \
         AND a.grantee NOT IN ('{owner}'::regrole, '{group}'::regrole)"
    )
}

/// The tenants' rights, on each thing that is the owner's by now.
fn rights_on_what_is_there(roles: &Roles) -> String {
    let (owner, group) = (roles.owner.as_str(), roles.group.quoted());
    format!(
        "SELECT format(CASE c.relkind WHEN 'S' THEN 'GRANT USAGE, SELECT ON SEQUENCE %s TO {group}' \
           ELSE 'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO {group}' END, c.oid::regclass) FROM pg_class c \
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
         AND c.relowner = '{owner}'::regrole"
    )
}

/// SQLSTATE `insufficient_privilege`, of something that no look beforehand finds.
fn not_allowed(error: DbErr) -> ServerError {
    let refusal = driver(&error).and_then(sqlx::Error::as_database_error);
    match refusal.filter(|refusal| refusal.code().as_deref() == Some("42501")) {
        Some(refusal) => {
            ServerError::NotAdoptable(format!("the server refuses to hand it over: {}", refusal.message()))
        }
        None => error.into(),
    }
}
