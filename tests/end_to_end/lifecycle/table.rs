//! Every action from every state.

use tenantry_api::catalog::v1::{Company, CompanyState, DeleteCompanyRequest, PurgeCompanyRequest};
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::Operations;
use crate::support::per_engine;

per_engine!(every_action_is_allowed_or_refused_by_the_state, a_failed_company_begins_anew_where_it_failed);

/// As the central database spells them, with what each letter of the table stands for.
const STATES: [(&str, char); 7] = [
    ("provisioning", 'P'),
    ("active", 'A'),
    ("suspended", 'S'),
    ("maintenance", 'M'),
    ("deleted", 'D'),
    ("purged", 'X'),
    ("failed", 'F'),
];

/// The state that each of [`STATES`] leads to; `.` is refused.
const TABLE: [(&str, &str); 8] = [
    ("suspend", ".SSS..."),
    ("resume", ".AA...."),
    ("enter", ".M.M..."),
    ("leave", ".A.A..."),
    ("delete", ".DDDD.D"),
    // It was ACTIVE when it was deleted.
    ("undelete", "PASMA.F"),
    ("purge", "....DXD"),
    // The last: from FAILED the pipeline goes on by itself.
    ("retry", "PA....P"),
];

async fn every_action_is_allowed_or_refused_by_the_state(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let id = Owner::of_new_company(sandbox, "Table").await?.company.id;
    let mut wrong = Vec::new();
    for (action, expected) in TABLE {
        let mut got = String::new();
        for (state, _) in STATES {
            put_into(sandbox, state).await?;
            match act(&operations, action, &id).await {
                Ok(company) => got.push(letter(&company)),
                Err(refused) => {
                    let problem = misrefused(&refused, state);
                    wrong.extend(problem.map(|problem| format!("{action} from {state}: {problem}")));
                    got.push('.');
                }
            }
        }
        if got != expected {
            wrong.push(format!("{action}: {got}, and not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Whatever it was before. Nobody works on it meanwhile.
async fn put_into(sandbox: &Sandbox, state: &str) -> anyhow::Result<()> {
    sandbox.run_in_central("UPDATE provisioning_leases SET expires_at = '2999-01-01 00:00:00'").await?;
    let from = if state == "deleted" { "'active'" } else { "NULL" };
    let sql = format!("UPDATE companies SET state = '{state}', deleted_from = {from}, purge_at = NULL");
    sandbox.run_in_central(&sql).await
}

async fn act(operations: &Operations, action: &str, id: &str) -> Result<Company, Status> {
    match action {
        "suspend" => operations.suspend(id).await,
        "resume" => operations.resume(id).await,
        "enter" => operations.enter_maintenance(id, 0).await,
        "leave" => operations.leave_maintenance(id).await,
        "delete" => operations.delete(id).await,
        "undelete" => operations.undelete(id).await,
        // Only asked: a purge cannot be taken back for the next state.
        "purge" => {
            let purge = PurgeCompanyRequest { id: id.into(), validate_only: true, ..Default::default() };
            operations.purge(purge).await
        }
        _ => operations.retry_provisioning(id, true).await,
    }
}

fn letter(company: &Company) -> char {
    let name = company.state().as_str_name().trim_start_matches("COMPANY_STATE_").to_lowercase();
    STATES.iter().find(|(state, _)| *state == name).map_or('?', |(_, letter)| *letter)
}

/// What is wrong with a refusal for the state.
fn misrefused(status: &Status, state: &str) -> Option<String> {
    let details = status.get_error_details();
    let metadata = details.error_info().map(|info| info.metadata.clone()).unwrap_or_default();
    let says_state = status.message().contains(&format!("the company is {}", state.to_uppercase()));
    let names_state = metadata.get("state") == Some(&state.to_uppercase());
    let violations = details.precondition_failure().map_or(0, |failure| failure.violations.len());
    let fine = status.code() == Code::FailedPrecondition
        && reason_of(status) == Some(Reason::CompanyState)
        && says_state
        && names_state
        && metadata.get("allowed").is_some_and(|allowed| !allowed.is_empty())
        && violations == 1;
    (!fine).then(|| format!("{status:?}"))
}

async fn a_failed_company_begins_anew_where_it_failed(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let id = Owner::of_new_company(sandbox, "Anew").await?.company.id;
    sandbox.run_in_central("UPDATE companies SET state = 'failed', state_reason = 'seed: INTERNAL'").await?;
    let failed = "UPDATE provisioning_steps SET state = 'failed', attempts = 7, last_error = 'INTERNAL' \
                  WHERE name = 'seed'";
    sandbox.run_in_central(failed).await?;

    let company = operations.retry_provisioning(&id, false).await?;
    assert_eq!((company.state(), company.state_reason.as_str()), (CompanyState::Active, ""));
    let steps: Vec<_> = company.provisioning_steps.iter().map(|step| (step.name.as_str(), step.attempts)).collect();
    assert_eq!(steps, [("create_database", 1), ("seed", 1)]);
    // Deleted from FAILED it is not purged by a call that only asks.
    sandbox.run_in_central("UPDATE companies SET state = 'failed'").await?;
    let ask = DeleteCompanyRequest { id: id.clone(), validate_only: true, ..Default::default() };
    let mut companies = sandbox.companies()?;
    let asked = companies.delete_company(operations.operator.request(ask)).await?.into_inner();
    assert_eq!(asked.state(), CompanyState::Deleted);
    assert_eq!(operations.get(&id).await?.state(), CompanyState::Failed);
    // What never came to be has no grace to wait for.
    let purge = PurgeCompanyRequest { id: id.clone(), ..Default::default() };
    assert_eq!(operations.purge(purge).await?.state(), CompanyState::Purged);
    Ok(())
}
