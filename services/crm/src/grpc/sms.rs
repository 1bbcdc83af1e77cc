use std::collections::BTreeMap;

use chrono::Duration;
use sea_orm::Condition;
use tenantry_api::crm::v1::sms_service_server::SmsService;
use tenantry_api::crm::v1::{
    CreateSmsTemplateRequest, DeleteSmsTemplateRequest, GetSmsRequest, GetSmsTemplateRequest, LeaseSmsRequest,
    LeaseSmsResponse, ListSmsRequest, ListSmsResponse, ListSmsTemplatesRequest, ListSmsTemplatesResponse,
    ReportSmsDeliveryRequest, SendSmsRequest, Sms as WireSms, SmsState as WireState, SmsTemplate as Wire,
    UpdateSmsTemplateRequest,
};
use tenantry_ids::SmsId;
use tenantry_rpc::{Call, Context, Error, Violations, parse_field};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{
    self, ListPage, optional, plain_list, replay, respond, set_fields, standard_service, text, timestamp,
};
use crate::app::sms::{self, Recipient, Text};
use crate::app::{Replay, standard as app};
use crate::domain::sms::{Outcome, placeholders, segments};
use crate::domain::{Fields, Mask, Sms, SmsState, SmsTemplate, Stored, phone};
use crate::store::sms::SmsFilter;
use crate::store::sms_templates::SmsTemplates;

/// The longest body.
const MOST_CHARS: usize = 1_600;
/// The longest value of a placeholder.
const MOST_VALUE_CHARS: usize = 500;

standard_service! {
    SmsGrpc: SmsService of SmsTemplates as sms_template {
        create_sms_template(CreateSmsTemplateRequest),
        get_sms_template(GetSmsTemplateRequest),
        update_sms_template(UpdateSmsTemplateRequest),
        delete_sms_template(DeleteSmsTemplateRequest),
        list_sms_templates(ListSmsTemplatesRequest) -> ListSmsTemplatesResponse.sms_templates,
    }

    async fn send_sms(&self, request: Request<SendSmsRequest>) -> Result<Response<WireSms>, Status> {
        let call = Call::open(request)?;
        let (message, replay) = parse_message(&call.context, &call.body)?;
        let db = call.tenant_db()?;
        respond(sms::send(&self.0, &db, &call.context, &message, &replay).await.map(shown))
    }

    async fn get_sms(&self, request: Request<GetSmsRequest>) -> Result<Response<WireSms>, Status> {
        let call = Call::open(request)?;
        let id = parse_field("id", &call.body.id)?;
        respond(sms::get(&call.tenant_db()?, id).await.map(shown))
    }

    async fn list_sms(&self, request: Request<ListSmsRequest>) -> Result<Response<ListSmsResponse>, Status> {
        let call = Call::open(request)?;
        let (filter, list) = parse_filter(&call.body)?;
        respond(sms::list(&call.tenant_db()?, filter, &list.page).await.map(|rows| {
            let (messages, next_page_token) = list.cut(rows, shown);
            ListSmsResponse { messages, next_page_token }
        }))
    }

    async fn lease_sms(&self, request: Request<LeaseSmsRequest>) -> Result<Response<LeaseSmsResponse>, Status> {
        let call = Call::open(request)?;
        let lease = parse_lease(&call.body)?;
        let db = call.tenant_db()?;
        let taken = sms::lease(&self.0, &db, &call.context, lease).await;
        respond(taken.map(|rows| LeaseSmsResponse { messages: rows.into_iter().map(shown).collect() }))
    }

    async fn report_sms_delivery(
        &self,
        request: Request<ReportSmsDeliveryRequest>,
    ) -> Result<Response<WireSms>, Status> {
        let call = Call::open(request)?;
        let (id, outcome, reference) = parse_report(&call.body)?;
        let (of, said) = ((id, call.body.fence), (&outcome, reference.as_deref()));
        let db = call.tenant_db()?;
        respond(sms::report(&self.0, &db, &call.context, of, said).await.map(shown))
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; name, language, body)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<SmsTemplate> {
    let body = fields.lines("body", &wire.body, MOST_CHARS);
    fields.check(!wire.body.trim().is_empty(), "body", "must not be empty");
    if let Err(problem) = placeholders(body.as_deref().unwrap_or_default()) {
        fields.check(false, "body", problem);
    }
    let fits = |language: &str| language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fields.check(fits(&wire.language), "language", "must be a language tag (BCP 47), such as sw or pt-BR");
    Some(SmsTemplate {
        name: fields.text("name", &wire.name, 100),
        language: fields.optional_text("language", &wire.language, 35).unwrap_or_default(),
        body: body.unwrap_or_default(),
    })
}

fn parse_list(body: &ListSmsTemplatesRequest) -> Result<(Condition, ListPage), Error> {
    plain_list("sms_templates", body.page_size, &body.page_token)
}

fn convert(stored: Stored<SmsTemplate>) -> Wire {
    let SmsTemplate { name, language, body } = stored.content;
    let placeholders = placeholders(&body).unwrap_or_default().into_iter().map(str::to_owned).collect();
    Wire {
        id: stored.id.to_string(),
        name,
        language,
        placeholders,
        body,
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}

fn parse_message(context: &Context, body: &SendSmsRequest) -> Result<((Recipient, Text), Replay), Error> {
    let mut violations = Violations::new();
    let replay = replay(&mut violations, context, &body.request_id, body);
    violations.check(body.person_id.is_empty() != body.phone.is_empty(), "person_id", "must be set, or else phone");
    let number = Some(&body.phone).filter(|number| !number.is_empty()).map(|number| phone(number));
    if let Some(Err(description)) = &number {
        violations.add("phone", *description);
    }
    let person = optional(&mut violations, "person_id", &body.person_id).map(Recipient::Person);
    let recipient = person.or(number.and_then(Result::ok).map(Recipient::Phone));
    violations.check(body.template_id.is_empty() != body.body.is_empty(), "template_id", "must be set, or else body");
    violations.check(!body.template_id.is_empty() || body.values.is_empty(), "values", "must be a template's");
    let template = optional(&mut violations, "template_id", &body.template_id);
    let said = match template {
        Some(id) => Some(Text::Template(id, values(&mut violations, &body.values))),
        None if body.body.is_empty() => None,
        None => Some(Text::Body(violations.lines("body", &body.body, MOST_CHARS))),
    };
    if let Some(Text::Body(said)) = &said {
        violations.check(!said.is_empty(), "body", "must not be empty");
    }
    violations.finish(recipient.zip(said).map(|message| (message, replay)))
}

fn values(violations: &mut Violations, wire: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let checked = wire.iter().map(|(name, value)| {
        let value = violations.optional_text(&format!("values[{name:?}]"), value, MOST_VALUE_CHARS);
        (name.clone(), value)
    });
    checked.collect()
}

/// `None`: there is no such state; `Some(None)`: it is not set.
fn state(state: i32) -> Option<Option<SmsState>> {
    Some(match WireState::try_from(state).ok()? {
        WireState::Unspecified => None,
        WireState::Queued => Some(SmsState::Queued),
        WireState::Sent => Some(SmsState::Sent),
        WireState::Delivered => Some(SmsState::Delivered),
        WireState::Failed => Some(SmsState::Failed),
    })
}

fn parse_filter(body: &ListSmsRequest) -> Result<(SmsFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let filters: [&dyn std::fmt::Debug; 3] = [&body.state, &body.person_id, &body.phone];
    let list = ListPage::parse(&mut violations, "sms", &filters, body.page_size, &body.page_token);
    let state = state(body.state);
    violations.check(state.is_some(), "state", "must be QUEUED, SENT, DELIVERED or FAILED, or unset");
    let number = Some(&body.phone).filter(|number| !number.is_empty()).map(|number| phone(number));
    if let Some(Err(description)) = &number {
        violations.add("phone", *description);
    }
    let person_id = optional(&mut violations, "person_id", &body.person_id);
    let filter = SmsFilter { state: state.flatten(), person_id, phone: number.and_then(Result::ok) };
    violations.finish(Some((filter, list)))
}

fn parse_lease(body: &LeaseSmsRequest) -> Result<(u64, Duration), Error> {
    let mut violations = Violations::new();
    let most = u64::try_from(body.most).ok().filter(|most| *most <= 100);
    violations.check(most.is_some(), "most", "must be 0 to 100");
    violations.check((0..=600).contains(&body.lease_seconds), "lease_seconds", "must be 0 to 600");
    let seconds = if body.lease_seconds == 0 { 60 } else { body.lease_seconds };
    let most = most.map(|most| if most == 0 { 10 } else { most });
    violations.finish(most.map(|most| (most, Duration::seconds(seconds.into()))))
}

fn parse_report(body: &ReportSmsDeliveryRequest) -> Result<(SmsId, Outcome, Option<String>), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("id", &body.id);
    violations.check(body.fence > 0, "fence", "must be the one of the lease");
    let reference = violations.optional_text("provider_reference", &body.provider_reference, 200);
    let error = Some(violations.optional_text("error", &body.error, 500)).filter(|error| !error.is_empty());
    let outcome = match WireState::try_from(body.state) {
        Ok(WireState::Sent) => Some(Outcome::Sent),
        Ok(WireState::Delivered) => Some(Outcome::Delivered),
        Ok(WireState::Failed) => Some(Outcome::Failed { error, retry: body.retry }),
        Ok(WireState::Unspecified | WireState::Queued) | Err(_) => None,
    };
    violations.check(outcome.is_some(), "state", "must be SENT, DELIVERED or FAILED");
    let reference = Some(reference).filter(|reference| !reference.is_empty());
    violations.finish(id.zip(outcome).map(|(id, outcome)| (id, outcome, reference)))
}

fn shown(stored: Stored<Sms>) -> WireSms {
    let sms = stored.content;
    let state = match sms.state {
        SmsState::Queued => WireState::Queued,
        SmsState::Sent => WireState::Sent,
        SmsState::Delivered => WireState::Delivered,
        SmsState::Failed => WireState::Failed,
    };
    WireSms {
        id: stored.id.to_string(),
        person_id: text(sms.person_id),
        template_id: text(sms.template_id),
        phone: sms.phone,
        segments: i32::try_from(segments(&sms.body)).unwrap_or(i32::MAX),
        body: sms.body,
        state: state.into(),
        attempts: sms.attempts,
        provider_reference: sms.provider_reference.unwrap_or_default(),
        error: sms.error.unwrap_or_default(),
        send_time: sms.sent_at.map(timestamp),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        fence: sms.fence,
    }
}
