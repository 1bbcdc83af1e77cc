//! Whether a statement leaves the session as it found it.

/// Whether `sql` can only read or write rows.
///
/// A connection that ran anything else (`SET`, `BEGIN`, `CREATE TEMPORARY
/// TABLE`, `LISTEN`, `LOCK` …) is not given to another request, since what it
/// left behind would be there too. The list names what is allowed, so an
/// unknown statement costs a connection and leaks nothing. More than one
/// statement in a text is never allowed: SQLite would run them all.
pub(crate) fn keeps_session(sql: &str) -> bool {
    const ROWS_ONLY: [&str; 7] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "REPLACE", "VALUES"];

    let sql = sql.trim_start_matches(|c: char| c == '(' || c.is_whitespace());
    let end = sql.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(sql.len());
    let verb = &sql[..end];
    ROWS_ONLY.iter().any(|allowed| verb.eq_ignore_ascii_case(allowed))
        && !sql.trim_end().trim_end_matches(';').contains(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_only() {
        for sql in
            ["SELECT 1", "  (select 1) union (select 2)", "WITH a AS (SELECT 1) SELECT * FROM a;", "delete from t"]
        {
            assert!(keeps_session(sql), "{sql}");
        }
        for sql in
            ["BEGIN", "SET ROLE x", "SELECT 1; BEGIN", "", "/* */ SELECT 1", "CREATE TABLE t (a int)", "SELECTED"]
        {
            assert!(!keeps_session(sql), "{sql}");
        }
    }
}
