//! What came out, as a table to paste.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tonic::Status;

use crate::architecture::screaming;

/// The case that comes after all others.
pub(crate) const LAST: &str = "after all these";

/// What one caller got of one RPC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    LetIn,
    Refused { code: String, reason: String },
}

impl Outcome {
    pub(crate) fn refused(status: &Status) -> Self {
        let reason = tenantry_rpc::reason_of(status).map_or("no reason", |reason| reason.as_str());
        Self::Refused { code: screaming(&format!("{:?}", status.code())), reason: reason.to_owned() }
    }

    /// In a cell; the legend below the table has the whole.
    fn short(&self) -> &str {
        match self {
            Self::LetIn => "in",
            Self::Refused { reason, .. } => match reason.as_str() {
                "TOKEN_MISSING" => "missing",
                "TOKEN_INVALID" => "invalid",
                "TOKEN_EXPIRED" => "expired",
                "TOKEN_STALE" => "stale",
                "TOKEN_REVOKED" => "revoked",
                "CALLER_NOT_ALLOWED" => "caller",
                "SCOPE_MISSING" => "scope",
                "OTHER_TENANT" => "tenant",
                other => other.strip_suffix("_NOT_FOUND").unwrap_or(other),
            },
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LetIn => f.write_str("let in"),
            Self::Refused { code, reason } => write!(f, "{code}/{reason}"),
        }
    }
}

/// Cases down, RPCs across, in the order in which they first came.
#[derive(Default)]
pub(crate) struct Table {
    rpcs: Vec<String>,
    cases: Vec<String>,
    cells: BTreeMap<(usize, usize), Outcome>,
}

impl Table {
    pub(crate) fn note(&mut self, rpc: &str, case: &str, outcome: Outcome) {
        let at = (place(&mut self.cases, case), place(&mut self.rpcs, rpc));
        self.cells.insert(at, outcome);
    }
}

fn place(list: &mut Vec<String>, name: &str) -> usize {
    list.iter().position(|known| known == name).unwrap_or_else(|| {
        list.push(name.to_owned());
        list.len() - 1
    })
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcomes: BTreeSet<_> = self.cells.values().collect();
        let width = outcomes.iter().map(|outcome| outcome.short().len()).max().unwrap_or_default();
        let first = self.cases.iter().map(String::len).max().unwrap_or_default();
        write!(f, "| {:first$} |", "")?;
        for n in 1..=self.rpcs.len() {
            write!(f, " {n:width$} |")?;
        }
        write!(f, "\n|{:-<1$}|", "", first + 2)?;
        for _ in &self.rpcs {
            write!(f, "{:-<1$}|", "", width + 2)?;
        }
        writeln!(f)?;
        let mut rows: Vec<_> = self.cases.iter().enumerate().collect();
        rows.sort_by_key(|(_, case)| *case == LAST);
        for (row, case) in rows {
            write!(f, "| {case:first$} |")?;
            for column in 0..self.rpcs.len() {
                let cell = self.cells.get(&(row, column)).map_or("", Outcome::short);
                write!(f, " {cell:width$} |")?;
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        for (n, rpc) in self.rpcs.iter().enumerate() {
            writeln!(f, "{:>2}. {rpc}", n + 1)?;
        }
        writeln!(f)?;
        for outcome in outcomes {
            writeln!(f, "{:width$} = {outcome}", outcome.short())?;
        }
        let (rpcs, cases, cells) = (self.rpcs.len(), self.cases.len(), self.cells.len());
        write!(f, "\n{rpcs} RPCs, {cases} cases, {cells} cells")
    }
}
