//! Text messages: templates that are checked when they are written, and an outbox of which each message is taken by one
//! gateway at a time.

use std::collections::{BTreeMap, HashSet};

use tenantry_api::crm::v1::sms_service_client::SmsServiceClient;
use tenantry_api::crm::v1::{
    Address, CreateAddressRequest, CreateSmsTemplateRequest, DeleteSmsTemplateRequest, GetSmsRequest, LeaseSmsRequest,
    ListSmsRequest, ListSmsTemplatesRequest, ReportSmsDeliveryRequest, SendSmsRequest, Sms, SmsState, SmsTemplate,
    UpdateSmsTemplateRequest,
};
use tenantry_rpc::client::ServiceChannel;
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

use super::devices::Maker;
use super::plugins::with_plugin;
use crate::support::{fields, per_engine, reason};

per_engine!(
    templates_are_checked_when_they_are_written,
    a_message_is_written_once_for_a_person_or_a_phone,
    a_message_goes_through_its_states_once,
    many_gateways_take_each_message_once,
    a_message_that_is_never_reported_is_given_up,
);

const PHONE: &str = "+254700000001";

pub(crate) struct Desk<'a> {
    owner: &'a Owner,
    sms: SmsServiceClient<ServiceChannel>,
}

impl<'a> Desk<'a> {
    pub(crate) async fn open(sandbox: &Sandbox, owner: &'a Owner) -> anyhow::Result<Self> {
        with_plugin(sandbox, owner, "sms").await?;
        let sms = sandbox.clients().sms()?;
        // The crm hears of it a moment later.
        crate::processes::eventually("the plugin", async || {
            match sms.clone().list_sms(owner.request(ListSmsRequest::default())).await {
                Err(status) if reason_of(&status) == Some(Reason::PluginNotInstalled) => Ok(None),
                served => Ok(Some(served?)),
            }
        })
        .await?;
        Ok(Self { owner, sms })
    }

    pub(crate) async fn template(&mut self, name: &str, language: &str, body: &str) -> Result<SmsTemplate, Status> {
        let (name, language, body) = (name.into(), language.into(), body.into());
        let sms_template = Some(SmsTemplate { name, language, body, ..Default::default() });
        let request = CreateSmsTemplateRequest { sms_template, ..Default::default() };
        Ok(self.sms.create_sms_template(self.owner.request(request)).await?.into_inner())
    }

    async fn send(&mut self, request: SendSmsRequest) -> Result<Sms, Status> {
        Ok(self.sms.send_sms(self.owner.request(request)).await?.into_inner())
    }

    pub(crate) async fn say(&mut self, body: &str) -> Result<Sms, Status> {
        self.send(SendSmsRequest { phone: PHONE.into(), body: body.into(), ..Default::default() }).await
    }

    async fn lease(&mut self, most: i32, lease_seconds: i32) -> Result<Vec<Sms>, Status> {
        let request = LeaseSmsRequest { most, lease_seconds };
        Ok(self.sms.lease_sms(self.owner.request(request)).await?.into_inner().messages)
    }

    async fn report(&mut self, of: &Sms, state: SmsState, retry: bool) -> Result<Sms, Status> {
        let (id, fence, state) = (of.id.clone(), of.fence, state.into());
        let (provider_reference, error) = (format!("ref {}", of.id), "no \"電\" network".into());
        let request = ReportSmsDeliveryRequest { id, fence, state, provider_reference, error, retry };
        Ok(self.sms.report_sms_delivery(self.owner.request(request)).await?.into_inner())
    }

    async fn listed(&mut self, request: ListSmsRequest) -> Result<Vec<String>, Status> {
        let listed = self.sms.list_sms(self.owner.request(request)).await?.into_inner().messages;
        Ok(listed.into_iter().map(|message| message.id).collect())
    }
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn templates_are_checked_when_they_are_written(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Templates").await?;
    let refused = sandbox.clients().sms()?.list_sms(owner.request(ListSmsRequest::default())).await;
    assert_eq!(reason(refused), Some(Reason::PluginNotInstalled));
    let mut desk = Desk::open(sandbox, &owner).await?;
    let body = "Habari {name}, umelipa {{{amount}}}: 電 O'Brien\n\"{name}\"";
    let made = desk.template("paid", "sw", body).await?;
    assert_eq!((made.body.as_str(), made.placeholders.as_slice()), (body, &["name".to_owned(), "amount".into()][..]));
    desk.template("paid", "en", "Thanks {name}").await?;
    assert_eq!(reason(desk.template("paid", "sw", "Asante").await), Some(Reason::NameTaken));
    for body in ["", "Hi {", "Hi {Name}", "Hi }", &"a".repeat(1_601)] {
        assert_eq!(fields(desk.template("wrong", "", body).await), ["sms_template.body"], "{body:?}");
    }
    assert_eq!(fields(desk.template("wrong", "s w", "x").await), ["sms_template.language"]);

    let change = |body: &str, etag: &str| {
        let id = made.id.clone();
        let sms_template = Some(SmsTemplate { id, body: body.into(), etag: etag.into(), ..Default::default() });
        owner.request(UpdateSmsTemplateRequest { sms_template, update_mask: None })
    };
    let changed = desk.sms.update_sms_template(change("Asante {name}", &made.etag)).await?.into_inner();
    assert_eq!((changed.language.as_str(), changed.placeholders.len()), ("sw", 1));
    assert_eq!(reason(desk.sms.update_sms_template(change("x", &made.etag)).await), Some(Reason::EtagMismatch));
    assert_eq!(fields(desk.sms.update_sms_template(change("{", "")).await), ["sms_template.body"]);

    // A message outlives its template.
    let write = SendSmsRequest {
        phone: PHONE.into(),
        template_id: made.id.clone(),
        values: values(&[("name", "{amount}")]),
        ..Default::default()
    };
    let message = desk.send(write).await?;
    assert_eq!(message.body, "Asante {amount}", "a value is text");
    let delete = DeleteSmsTemplateRequest { id: made.id, etag: String::new() };
    desk.sms.delete_sms_template(owner.request(delete)).await?;
    let list = ListSmsTemplatesRequest::default();
    assert_eq!(desk.sms.list_sms_templates(owner.request(list)).await?.into_inner().sms_templates.len(), 1);
    let kept = desk.sms.get_sms(owner.request(GetSmsRequest { id: message.id.clone() })).await?.into_inner();
    assert_eq!((kept.template_id.as_str(), kept.body), ("", message.body));
    Ok(())
}

async fn a_message_is_written_once_for_a_person_or_a_phone(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Outbox").await?;
    let mut desk = Desk::open(sandbox, &owner).await?;
    let (make, template) = (Maker::new(sandbox, &owner), desk.template("hi", "", "Hi {name}").await?);
    let ada = make.person("Ada").await?;
    let to_ada = || SendSmsRequest { person_id: ada.clone(), body: "Hello".into(), ..Default::default() };
    assert_eq!(fields(desk.send(to_ada()).await), ["person_id"], "no phone yet");
    for (phone, primary) in [("+254700000002", false), ("+254700000003", true)] {
        let address = Address { person_id: ada.clone(), phone: phone.into(), primary, ..Default::default() };
        let create = CreateAddressRequest { address: Some(address), ..Default::default() };
        sandbox.clients().addresses()?.create_address(owner.request(create)).await?;
    }
    let asked = SendSmsRequest { request_id: uuid::Uuid::now_v7().to_string(), ..to_ada() };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (mut sms, request) = (desk.sms.clone(), owner.request(asked.clone()));
        calls.spawn(async move { sms.send_sms(request).await });
    }
    let mut made = Vec::new();
    while let Some(call) = calls.join_next().await {
        made.push(call??.into_inner());
    }
    assert!(made.iter().all(|one| *one == made[0]), "{made:?}");
    assert_eq!((made[0].phone.as_str(), made[0].segments, made[0].state()), ("+254700000003", 1, SmsState::Queued));
    let reused = SendSmsRequest { body: "Bye".into(), ..asked };
    assert_eq!(reason(desk.send(reused).await), Some(Reason::RequestIdReused));

    let long = desk.say(&"電".repeat(71)).await?;
    assert_eq!(long.segments, 2);
    assert_eq!(fields(desk.say(&"電".repeat(671)).await), ["body"], "more than ten segments");
    assert_eq!(desk.say(&"電".repeat(670)).await?.segments, 10);
    let listed = |state: SmsState, person: &str, phone: &str| ListSmsRequest {
        state: state.into(),
        person_id: person.into(),
        phone: phone.into(),
        ..Default::default()
    };
    assert_eq!(desk.listed(listed(SmsState::Queued, &ada, "")).await?, [made[0].id.clone()]);
    assert_eq!(desk.listed(listed(SmsState::Unspecified, "", PHONE)).await?.len(), 2);
    assert!(desk.listed(listed(SmsState::Sent, "", "")).await?.is_empty());

    let by_template = |pairs: &[(&str, &str)]| SendSmsRequest {
        phone: PHONE.into(),
        template_id: template.id.clone(),
        values: values(pairs),
        ..Default::default()
    };
    for pairs in [&[][..], &[("name", "Ada"), ("other", "x")]] {
        assert_eq!(fields(desk.send(by_template(pairs)).await), ["values"]);
    }
    assert_eq!(desk.send(by_template(&[("name", "O'Brien \"電\"")])).await?.body, "Hi O'Brien \"電\"");
    let wrong = [
        (SendSmsRequest { phone: PHONE.into(), ..to_ada() }, "person_id"),
        (SendSmsRequest { person_id: String::new(), ..to_ada() }, "person_id"),
        (SendSmsRequest { phone: "0700".into(), person_id: String::new(), ..to_ada() }, "phone"),
        (SendSmsRequest { body: "both".into(), ..by_template(&[("name", "x")]) }, "template_id"),
        (SendSmsRequest { body: String::new(), ..to_ada() }, "template_id"),
        (SendSmsRequest { values: values(&[("name", "x")]), ..to_ada() }, "values"),
    ];
    for (request, field) in wrong {
        assert_eq!(fields(desk.send(request).await), [field]);
    }
    let nowhere = uuid::Uuid::now_v7().to_string();
    let nobody = desk.send(SendSmsRequest { person_id: nowhere.clone(), ..to_ada() }).await;
    assert_eq!(reason(nobody), Some(Reason::PersonNotFound));
    let nothing = desk.send(SendSmsRequest { template_id: nowhere, ..by_template(&[]) }).await;
    assert_eq!(reason(nothing), Some(Reason::SmsTemplateNotFound));
    Ok(())
}

async fn a_message_goes_through_its_states_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "States").await?;
    let mut desk = Desk::open(sandbox, &owner).await?;
    let first = desk.say("one").await?;
    desk.say("two").await?;
    let taken = desk.lease(1, 600).await?;
    assert_eq!((taken.len(), &taken[0].id, taken[0].fence, taken[0].attempts), (1, &first.id, 1, 1), "the oldest");
    let other = desk.lease(10, 600).await?;
    assert_eq!(other.iter().map(|one| one.body.as_str()).collect::<Vec<_>>(), ["two"]);
    assert!(desk.lease(10, 600).await?.is_empty(), "all are taken");

    let sent = desk.report(&taken[0], SmsState::Sent, false).await?;
    assert_eq!((sent.state(), sent.send_time.is_some()), (SmsState::Sent, true));
    assert_eq!(sent.provider_reference, format!("ref {}", first.id));
    assert_eq!(desk.report(&taken[0], SmsState::Sent, false).await?, sent, "twice");
    let delivered = desk.report(&taken[0], SmsState::Delivered, false).await?;
    assert_eq!((delivered.state(), delivered.send_time), (SmsState::Delivered, sent.send_time));
    assert_eq!(desk.report(&taken[0], SmsState::Failed, false).await?, delivered, "its end");

    // Failed for now, until it was tried five times.
    let mut last = other[0].clone();
    for attempt in 1..=4 {
        let waiting = desk.report(&last, SmsState::Failed, true).await?;
        assert_eq!((waiting.state(), waiting.attempts), (SmsState::Queued, attempt));
        assert_eq!(desk.report(&last, SmsState::Sent, false).await?, waiting, "reported already");
        let stale = last;
        last = desk.lease(10, 600).await?.remove(0);
        assert_eq!(reason(desk.report(&stale, SmsState::Sent, false).await), Some(Reason::LeaseLost));
    }
    let failed = desk.report(&last, SmsState::Failed, true).await?;
    assert_eq!((failed.state(), failed.attempts, failed.error.as_str()), (SmsState::Failed, 5, "no \"電\" network"));
    assert!(desk.lease(10, 600).await?.is_empty());

    assert_eq!(fields(desk.report(&last, SmsState::Queued, false).await), ["state"]);
    assert_eq!(fields(desk.lease(101, 0).await), ["most"]);
    assert_eq!(fields(desk.lease(0, 601).await), ["lease_seconds"]);
    let nothing = Sms { id: uuid::Uuid::now_v7().to_string(), ..last };
    assert_eq!(reason(desk.report(&nothing, SmsState::Sent, false).await), Some(Reason::SmsNotFound));
    Ok(())
}

async fn many_gateways_take_each_message_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Gateways").await?;
    let mut desk = Desk::open(sandbox, &owner).await?;
    for n in 0..30 {
        desk.say(&format!("message {n}")).await?;
    }
    let mut gateways = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (mut sms, token) = (desk.sms.clone(), owner.token().unwrap_or_default().to_owned());
        gateways.spawn(async move {
            let (token, mut mine) = (tenantry_testkit::actors::Bearer(token), Vec::new());
            // One that lost every message of a turn to others gets none, and looks again.
            for _ in 0..12 {
                let request = token.request(LeaseSmsRequest { most: 4, lease_seconds: 600 });
                mine.extend(sms.lease_sms(request).await?.into_inner().messages.into_iter().map(|one| one.id));
            }
            anyhow::Ok(mine)
        });
    }
    let mut all = Vec::new();
    while let Some(gateway) = gateways.join_next().await {
        all.extend(gateway??);
    }
    all.extend(desk.lease(100, 600).await?.into_iter().map(|one| one.id));
    assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (30, 30));
    Ok(())
}

async fn a_message_that_is_never_reported_is_given_up(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Silence").await?;
    let mut desk = Desk::open(sandbox, &owner).await?;
    let message = desk.say("hello?").await?;
    let mut fences = Vec::new();
    while fences.len() < 5 {
        // Whenever the lease of before is over, which takes a second.
        fences.extend(desk.lease(1, 1).await?.into_iter().map(|one| one.fence));
    }
    assert_eq!(fences, [1, 2, 3, 4, 5]);
    let last = crate::processes::eventually("the end of the last lease", async || {
        let none = desk.sms.clone().lease_sms(owner.request(LeaseSmsRequest { most: 1, lease_seconds: 1 })).await?;
        anyhow::ensure!(none.into_inner().messages.is_empty(), "a sixth attempt");
        let get = owner.request(GetSmsRequest { id: message.id.clone() });
        Ok(Some(desk.sms.clone().get_sms(get).await?.into_inner()).filter(|one| one.state() != SmsState::Queued))
    })
    .await?;
    assert_eq!((last.state(), last.attempts, last.error.is_empty()), (SmsState::Failed, 5, false));
    Ok(())
}
