#![allow(unreachable_pub)] // The derive wants its models public.

pub(crate) mod rollout {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;
    use tenantry_ids::RolloutId;

    /// Where a rollout is in its life.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
    pub enum State {
        #[sea_orm(string_value = "running")]
        Running,
        #[sea_orm(string_value = "paused")]
        Paused,
        #[sea_orm(string_value = "halted")]
        Halted,
        #[sea_orm(string_value = "cancelled")]
        Cancelled,
        #[sea_orm(string_value = "succeeded")]
        Succeeded,
        #[sea_orm(string_value = "failed")]
        Failed,
    }

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "rollouts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: RolloutId,
        pub set_name: String,
        pub state: State,
        pub state_reason: Option<String>,
        /// Absent in a rollback.
        pub target_version: Option<String>,
        pub rollback_of: Option<RolloutId>,
        /// What most targets were at: new databases are made so until the canary has soaked.
        pub base_version: Option<String>,
        /// JSON: engine to digest.
        pub checksums: String,
        /// The wave under way, counted from 1.
        pub wave: i32,
        pub waves: i32,
        /// Targets in the first wave, when there are two.
        pub canary: i32,
        pub wave_opens_at: DateTime<Utc>,
        pub soak_ms: i64,
        pub parallelism: i32,
        pub parallelism_per_server: i32,
        /// More failures than these halt it.
        pub failure_budget: i32,
        /// The failures so far that count.
        pub against_budget: i32,
        pub max_attempts: i32,
        pub verify: bool,
        pub rehearsed: bool,
        pub total: i32,
        pub succeeded: i32,
        pub failed: i32,
        pub skipped: i32,
        pub cancelled: i32,
        pub creator: String,
        /// The span that asked for it, as W3C's `traceparent`.
        pub trace_parent: Option<String>,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        pub ended_at: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod target {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;
    use tenantry_ids::{CompanyId, DatabaseId, RolloutId};

    /// Where one target is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
    pub enum State {
        #[sea_orm(string_value = "pending")]
        Pending,
        #[sea_orm(string_value = "running")]
        Running,
        #[sea_orm(string_value = "succeeded")]
        Succeeded,
        #[sea_orm(string_value = "failed")]
        Failed,
        #[sea_orm(string_value = "skipped")]
        Skipped,
        #[sea_orm(string_value = "cancelled")]
        Cancelled,
    }

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "rollout_targets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub rollout_id: RolloutId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: i32,
        pub company_id: CompanyId,
        pub database_id: DatabaseId,
        pub server: String,
        pub database_name: String,
        pub wave: i32,
        pub start_version: Option<String>,
        pub state: State,
        pub attempts: i32,
        pub changes: i32,
        pub error_reason: Option<String>,
        pub error_message: Option<String>,
        pub not_before: DateTime<Utc>,
        pub lease_holder: Option<String>,
        pub lease_until: Option<DateTime<Utc>>,
        pub fence: i64,
        pub started_at: Option<DateTime<Utc>>,
        pub finished_at: Option<DateTime<Utc>>,
        pub duration_ms: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
