//! Everything that a company has, page by page. Between pages nothing is held.

use std::collections::VecDeque;

use tenantry_rpc::{Error, Reason};
use tenantry_tenancy::{InstalledPlugin, TenantStream};

use crate::app::CrmError;
use crate::store::PLUGINS;
use crate::store::everything::{self, Key, Row, TABLES, Table};

/// How many rows are read at once: few enough that a page of the longest ones, entries of the trail, is no burden.
const PAGE: usize = 200;

/// What an export of a company is of, as it was when it began.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) schema_version: String,
    pub(crate) plugins: Vec<InstalledPlugin>,
}

/// An export of a company at work.
pub(crate) struct CompanyExport {
    tenant: TenantStream,
    /// What is still to be read; of the first table what comes after `after`.
    tables: VecDeque<&'static Table>,
    after: Option<Key>,
}

impl CompanyExport {
    /// Looks what there is to be read: of plugins those that the company has at this moment. One that this service cannot
    /// read is an error, since the export would not be whole.
    pub(crate) async fn begin(mut tenant: TenantStream) -> Result<Self, Error> {
        for (plugin, _) in PLUGINS {
            match tenant.renew_with(plugin).await {
                Err(error) if error.reason() != Reason::PluginNotInstalled => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        tenant.renew().await?;
        let is_there = |table: &&Table| table.plugin.is_none_or(|plugin| tenant.db().has_plugin(plugin));
        let tables = TABLES.iter().filter(is_there).collect();
        Ok(Self { tenant, tables, after: None })
    }

    pub(crate) fn whole(&self) -> Whole {
        let db = self.tenant.db();
        Whole { schema_version: db.schema_version().to_owned(), plugins: db.plugins().to_vec() }
    }

    /// The kinds of rows that are still to come, in their order; one may be there more than once.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.tables.iter().map(|table| table.kind)
    }

    /// The rows that come next, all of one kind; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<(&'static str, Vec<Row>)>, Error> {
        while let Some(table) = self.tables.front().copied() {
            match table.plugin {
                Some(plugin) => self.tenant.renew_with(plugin).await?,
                None => self.tenant.renew().await?,
            }
            let rows = self.read(table).await?;
            if rows.len() < PAGE {
                self.tables.pop_front();
                self.after = None;
            } else {
                self.after = rows.last().map(|row| row.key.clone());
            }
            if !rows.is_empty() {
                return Ok(Some((table.kind, rows)));
            }
        }
        Ok(None)
    }

    /// One statement, which is a transaction by itself; its connection is back before the rows are written.
    async fn read(&self, table: &'static Table) -> Result<Vec<Row>, CrmError> {
        let db = self.tenant.db();
        let connection = db.read().await?;
        Ok(everything::page(&connection, table, self.after.as_ref(), PAGE as u64).await?)
    }
}
