use std::collections::{BTreeMap, BTreeSet};

use super::object::{CatalogueObject, ObjectKind};

/// One object that two catalogues do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: ObjectKind,
    /// As in [`CatalogueObject::name`].
    pub name: String,
    pub difference: Difference,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Expected, and not there.
    Missing { expected: String },
    /// There, and not expected.
    Unexpected { actual: String },
    /// There, with another definition.
    Changed { expected: String, actual: String },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, name, difference } = self;
        match difference {
            Difference::Missing { expected } => write!(f, "{kind} {name} is missing: {expected}"),
            Difference::Unexpected { actual } => write!(f, "{kind} {name} is not expected: {actual}"),
            Difference::Changed { expected, actual } => write!(f, "{kind} {name} is {actual}; expected: {expected}"),
        }
    }
}

/// Every difference, said once: what comes and goes with a missing or an unexpected object is left out.
///
/// The order of columns is compared among those that both tables have.
pub fn compare(expected: &[CatalogueObject], actual: &[CatalogueObject]) -> Vec<Finding> {
    let (expected, actual) = (by_name(expected), by_name(actual));
    let keys: BTreeSet<_> = expected.keys().chain(actual.keys()).copied().collect();
    let mut findings = Vec::new();
    for key in keys {
        let (expected, actual) = (expected.get(&key), actual.get(&key));
        let parent = expected.or(actual).and_then(|object| object.parent.clone());
        if let Some(difference) = difference(expected.copied(), actual.copied()) {
            findings.push((parent, Finding { kind: key.0, name: key.1.to_owned(), difference }));
        }
    }
    let gone: BTreeSet<String> =
        findings.iter().filter(|(_, finding)| takes_along(finding)).map(|(_, finding)| finding.name.clone()).collect();
    findings.retain(|(parent, _)| parent.as_ref().is_none_or(|parent| !gone.contains(parent)));
    let mut findings: Vec<_> = findings.into_iter().map(|(_, finding)| finding).collect();
    findings.extend(reordered(&expected, &actual));
    findings.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    findings
}

type ByName<'o> = BTreeMap<(ObjectKind, &'o str), &'o CatalogueObject>;

fn by_name(objects: &[CatalogueObject]) -> ByName<'_> {
    objects.iter().map(|object| ((object.kind, object.name.as_str()), object)).collect()
}

fn difference(expected: Option<&CatalogueObject>, actual: Option<&CatalogueObject>) -> Option<Difference> {
    match (expected, actual) {
        (Some(expected), None) => Some(Difference::Missing { expected: expected.definition.clone() }),
        (None, Some(actual)) => Some(Difference::Unexpected { actual: actual.definition.clone() }),
        (Some(expected), Some(actual)) if expected.definition != actual.definition => {
            Some(Difference::Changed { expected: expected.definition.clone(), actual: actual.definition.clone() })
        }
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// Whether what it consists of is missing or unexpected with it.
fn takes_along(finding: &Finding) -> bool {
    let whole = match finding.difference {
        Difference::Missing { .. } | Difference::Unexpected { .. } => true,
        Difference::Changed { .. } => false,
    };
    whole && !matches!(finding.kind, ObjectKind::Owner | ObjectKind::Grant | ObjectKind::DefaultGrant)
}

fn reordered(expected: &ByName<'_>, actual: &ByName<'_>) -> Vec<Finding> {
    let (expected_tables, actual_tables) = (columns(expected, actual), columns(actual, expected));
    let differing = expected_tables.into_iter().filter_map(|(table, expected)| {
        let actual = actual_tables.get(table).filter(|actual| **actual != expected)?;
        let difference = Difference::Changed { expected: expected.join(", "), actual: actual.join(", ") };
        Some(Finding { kind: ObjectKind::ColumnOrder, name: table.to_owned(), difference })
    });
    differing.collect()
}

/// The names of the columns that the other one has too, in order, by table.
fn columns<'o>(objects: &ByName<'o>, others: &ByName<'_>) -> BTreeMap<&'o str, Vec<&'o str>> {
    let mut tables: BTreeMap<&str, Vec<&CatalogueObject>> = BTreeMap::new();
    for (key, object) in objects.iter().filter(|(key, _)| key.0 == ObjectKind::Column && others.contains_key(*key)) {
        tables.entry(object.parent.as_deref().unwrap_or(key.1)).or_default().push(object);
    }
    let in_order = tables.into_iter().map(|(table, mut columns)| {
        columns.sort_by_key(|column| column.position);
        (table, columns.into_iter().map(|column| column.name.as_str()).collect())
    });
    in_order.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: ObjectKind, name: &str, definition: &str, parent: Option<&str>) -> CatalogueObject {
        let parent = parent.map(str::to_owned);
        CatalogueObject { kind, name: name.to_owned(), definition: definition.to_owned(), parent, position: 0 }
    }

    fn table() -> Vec<CatalogueObject> {
        let columns = ["id", "name", "note"].into_iter().zip(1..).map(|(name, position)| {
            let column = object(ObjectKind::Column, &format!("people.{name}"), "text", Some("people"));
            CatalogueObject { position, ..column }
        });
        let mut objects = vec![
            object(ObjectKind::Table, "people", "table", None),
            object(ObjectKind::Owner, "people", "owner", Some("people")),
            object(ObjectKind::Grant, "people to PUBLIC", "SELECT", Some("people")),
            object(ObjectKind::Constraint, "people.json", "check", Some("people.note")),
        ];
        objects.extend(columns);
        objects
    }

    fn told(findings: &[Finding]) -> Vec<(ObjectKind, &str)> {
        findings.iter().map(|finding| (finding.kind, finding.name.as_str())).collect()
    }

    #[test]
    fn equal_catalogues_have_nothing_to_say() {
        assert_eq!(compare(&table(), &table()), []);
    }

    #[test]
    fn a_missing_table_is_one_finding() {
        assert_eq!(told(&compare(&table(), &[])), [(ObjectKind::Table, "people")]);
        assert_eq!(told(&compare(&[], &table())), [(ObjectKind::Table, "people")]);
    }

    #[test]
    fn a_missing_column_takes_its_checks_along_and_leaves_the_order() {
        let actual: Vec<_> = table()
            .into_iter()
            .filter(|object| !["people.note", "people.json"].contains(&object.name.as_str()))
            .collect();
        let findings = compare(&table(), &actual);
        assert_eq!(told(&findings), [(ObjectKind::Column, "people.note")]);
        assert_eq!(findings[0].difference, Difference::Missing { expected: "text".to_owned() });
    }

    #[test]
    fn a_changed_table_says_each_change() {
        let mut actual = table();
        for object in &mut actual {
            match object.kind {
                ObjectKind::Column if object.name == "people.id" => object.position = 9,
                ObjectKind::Owner => object.definition = "another".to_owned(),
                _ => {}
            }
        }
        let findings = compare(&table(), &actual);
        assert_eq!(told(&findings), [(ObjectKind::ColumnOrder, "people"), (ObjectKind::Owner, "people")]);
        let Difference::Changed { expected, actual } = &findings[0].difference else { panic!("{findings:?}") };
        assert_eq!(expected, "people.id, people.name, people.note");
        assert_eq!(actual, "people.name, people.note, people.id");
    }
}
