//! Other issuers of tokens: the companies that they vouch for members of, and which user is whom of theirs.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, reference, revision, table, text_key, timestamp, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let issuers = table(manager, "issuers")
            .col(id("id"))
            .col(text_key("issuer_url", 512))
            .col(json("audiences"))
            // Separated by spaces.
            .col(string_len("algorithms", 100))
            .col(string_len("company_claim", 255))
            .col(string_len("user_claim", 255))
            .col(boolean("link_by_verified_email"))
            .col(json("key_hosts"))
            .col(integer("max_token_age_s"))
            .col(boolean("disabled"))
            .col(revision())
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(issuers).await?;
        manager.create_index(unique("issuers", ["issuer_url"])).await?;

        let companies = table(manager, "issuer_companies")
            .col(id("id"))
            .col(uuid("issuer_id"))
            .col(text_key("claim_value", 255))
            .col(uuid("company_id"))
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference("issuer_companies", "issuer_id", "issuers", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("issuer_companies", "company_id", "companies", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(companies).await?;
        manager.create_index(unique("issuer_companies", ["issuer_id", "claim_value"])).await?;

        let users = table(manager, "issuer_users")
            .col(id("id"))
            .col(uuid("issuer_id"))
            .col(text_key("subject", 255))
            .col(uuid("user_id"))
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference("issuer_users", "issuer_id", "issuers", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("issuer_users", "user_id", "users", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(users).await?;
        manager.create_index(unique("issuer_users", ["issuer_id", "subject"])).await?;
        // Who takes over somebody's address at the issuer does not take over the user.
        manager.create_index(unique("issuer_users", ["issuer_id", "user_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["issuer_users", "issuer_companies", "issuers"]).await
    }
}
