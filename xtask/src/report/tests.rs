use super::*;

fn report(output: &str, cargo_succeeded: bool) -> Report {
    let mut report = Report::default();
    output.lines().for_each(|line| report.read(line));
    report.finish(cargo_succeeded);
    report
}

fn last_line(report: &Report) -> String {
    report.to_string().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn counts_per_engine_and_ends_with_the_totals() {
    let report = report(
        "\
running 6 tests
test store::postgres::creates_a_company ... ok
test store::mariadb::creates_a_company ... FAILED
test sqlite ... ok
test domain::postgres_names_are_short ... ok
test refuses - should panic ... ok
test slow has been running for over 60 seconds
test slow ... ok

test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 61.00s
running 1 test
test shared/tenancy/src/postgres.rs - handle::sqlite (line 12) - compile fail ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
",
        false,
    );
    assert!(!report.is_good());
    assert_eq!(
        report.to_string(),
        "\
engine       passed  failed ignored
postgres          1       0       0
postgres_18       0       0       0
mariadb           0       1       0
sqlite            2       0       0
no engine         3       0       0
total             6       1       0
note: failed: store::mariadb::creates_a_company
6 passed, 1 failed
"
    );
}

#[test]
fn an_ignored_test_is_a_failure() {
    let report = report("running 2 tests\ntest a ... ok\ntest b ... ignored, too slow\n", true);
    assert!(!report.is_good());
    assert_eq!(last_line(&report), "1 passed, 1 failed");
}

#[test]
fn a_process_that_died_fails_the_tests_that_it_owed() {
    let output = "running 3 tests\ntest a has been running for over 60 seconds\n\
                  test b has been running for over 60 seconds\ntest a ... ok\n";
    let report = report(output, false);
    assert_eq!(last_line(&report), "1 passed, 2 failed");
    assert!(report.to_string().contains("note: never ended: b\n"), "{report}");
    assert!(!report.to_string().contains("never ended: a"), "{report}");
}

#[test]
fn a_torn_line_is_counted_from_the_summary() {
    let output = "running 2 tests\ntest a ... ok\ntest postgres::b ... noise from a child\nok\n\
                  test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    let report = report(output, true);
    assert!(report.is_good());
    assert_eq!(last_line(&report), "2 passed, 0 failed");
}

#[test]
fn what_does_not_compile_is_a_failure() {
    assert_eq!(last_line(&report("", false)), "0 passed, 1 failed");
}

#[test]
fn a_filter_that_matches_nothing_is_a_failure() {
    let output = "running 0 tests\n\
                  test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s\n";
    assert!(!report(output, true).is_good());
}

#[test]
fn other_lines_are_not_counted() {
    let report = report("test a ... ok\nrunning late\ntest x ... bench: 3 ns\ntesting ... ok\n", true);
    assert_eq!(last_line(&report), "1 passed, 0 failed");
}
