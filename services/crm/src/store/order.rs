//! Pages of sorted lists, by the keys of the last row seen: correct whatever is added or removed meanwhile.

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr, Value};
use sea_orm::{Condition, Order};

/// How a list is sorted: by some columns, and by id among equals.
pub(crate) struct Sorting {
    pub(crate) columns: Vec<SimpleExpr>,
    pub(crate) descending: bool,
}

impl Sorting {
    pub(crate) fn direction(&self) -> Order {
        if self.descending { Order::Desc } else { Order::Asc }
    }

    /// The rows that come after the one with these values in the columns.
    ///
    /// `a > x OR (a = x AND (b > y …))`, with `a >= x` around it for the index: MariaDB does not use one for a
    /// comparison of rows.
    pub(crate) fn beyond(&self, values: Vec<Value>) -> Condition {
        let mut pairs: Vec<_> = self.columns.iter().cloned().zip(values).collect();
        let Some((first, value)) = pairs.first().cloned() else { return Condition::all() };
        let mut beyond: Option<SimpleExpr> = None;
        while let Some((column, value)) = pairs.pop() {
            let further = match self.descending {
                true => column.clone().lt(Expr::value(value.clone())),
                false => column.clone().gt(Expr::value(value.clone())),
            };
            beyond = Some(match beyond {
                Some(rest) => further.or(column.eq(Expr::value(value)).and(rest)),
                None => further,
            });
        }
        let bound = match self.descending {
            true => first.lte(Expr::value(value)),
            false => first.gte(Expr::value(value)),
        };
        Condition::all().add(bound).add_option(beyond)
    }
}
