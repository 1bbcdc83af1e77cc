//! Everything that a company has: every row of every table, and nothing of anybody else's.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use chrono::DateTime;
use crm::everything::{LEFT_OUT, TABLES};
use serde_json::{Value, json};
use tenantry_api::crm::v1::device::Details;
use tenantry_api::crm::v1::{
    AddTicketCommentRequest, Address, CreateAddressRequest, CreatePersonRequest, CreateTariffRequest, Date, Device,
    EBike, ExportCompanyRequest, ExportCompanyResponse, ImportMode, ListAuditEntriesRequest, ListPeopleRequest, Meter,
    Money, Person, PersonKind, PlaceKind, SolarHomeSystem, Tariff, Ticket, Transaction, TransferFormat,
    UpdatePlaceRequest,
};
use tenantry_migration::{LEDGER, PROGRESS};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Member, Operator, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::{Status, Streaming};

use super::{import, options};
use crate::appliances::Shop;
use crate::devices::{Maker, device};
use crate::lifecycle::Operations;
use crate::migrations::database_of;
use crate::payments::{Till, kes, nanos, payment};
use crate::places::Planter;
use crate::plugins::{uninstall, with_plugin};
use crate::sms::Desk;
use crate::support::{per_engine, reason};
use crate::tickets::{about, category, open};

per_engine!(
    every_table_is_exported_or_left_out_for_a_reason,
    every_row_is_in_it_once_after_what_it_refers_to,
    rows_are_what_the_calls_answer,
    no_page_loses_or_repeats_a_row,
    nothing_of_other_companies_or_missing_plugins_is_in_it,
    only_admins_take_it,
    what_is_not_there_any_more_half_way_ends_it,
);

const NASTY: &str = "=1+1, \"電\" 🦀 مريم O'Brien \\";
const NASTY_LINES: &str = "First,\"line\"\nsecond: \\n 電\t'';--";

/// The file of an export, read.
#[derive(Debug)]
pub(super) struct Whole {
    head: Value,
    /// Each row with its kind, in the order of the file.
    rows: Vec<(String, Value)>,
    end: Value,
}

impl Whole {
    pub(super) async fn of(sandbox: &Sandbox, by: &impl Actor) -> Result<Self, Status> {
        let (file, rows) = rest(&mut begin(sandbox, by).await?).await?;
        Ok(Self::read(&file, rows))
    }

    fn read(file: &[u8], told: i64) -> Self {
        let text = std::str::from_utf8(file).expect("UTF-8");
        let lines = text.strip_suffix('\n').expect("whole lines").split('\n');
        let read = |line| match serde_json::from_str(line).expect(line) {
            Value::Object(mut line) => {
                assert_eq!(line.keys().collect::<Vec<_>>(), ["kind", "row"]);
                let (kind, row) = (line["kind"].as_str().expect("a kind").to_owned(), line["row"].take());
                (kind, row)
            }
            other => panic!("{other}"),
        };
        let mut rows: Vec<_> = lines.map(read).collect();
        let (first, head) = rows.remove(0);
        let (last, end) = rows.pop().expect("an end");
        assert_eq!((first.as_str(), last.as_str()), ("export", "end"));
        assert_eq!(end["rows"], rows.len(), "{end}");
        assert_eq!(told, i64::try_from(rows.len()).expect("a count"));
        let whole = Self { head, rows, end };
        assert_eq!(whole.told(), whole.counted());
        whole
    }

    /// How many rows of each kind the last line tells of.
    fn told(&self) -> BTreeMap<String, u64> {
        let kinds = self.end["kinds"].as_object().expect("kinds");
        kinds.iter().map(|(kind, count)| (kind.clone(), count.as_u64().expect("a count"))).collect()
    }

    /// How many there are, of each kind that the last line has.
    fn counted(&self) -> BTreeMap<String, u64> {
        let kinds = self.end["kinds"].as_object().expect("kinds").keys();
        let mut counts: BTreeMap<_, _> = kinds.map(|kind| (kind.clone(), 0)).collect();
        for (kind, _) in &self.rows {
            *counts.entry(kind.clone()).or_default() += 1;
        }
        counts
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.rows.iter().filter(move |(known, _)| known == kind).map(|(_, row)| row)
    }

    /// The one row of this kind with this in the field.
    fn one(&self, kind: &str, field: &str, value: &str) -> &Value {
        let found: Vec<_> = self.of_kind(kind).filter(|row| row[field] == value).collect();
        assert_eq!(found.len(), 1, "{kind} {field} {value}");
        found[0]
    }
}

async fn begin(sandbox: &Sandbox, by: &impl Actor) -> Result<Streaming<ExportCompanyResponse>, Status> {
    let mut client = sandbox.clients().transfers().expect("a client");
    Ok(client.export_company(by.request(ExportCompanyRequest {})).await?.into_inner())
}

/// What comes until the end, and how many rows the last part tells of.
async fn rest(parts: &mut Streaming<ExportCompanyResponse>) -> Result<(Vec<u8>, i64), Status> {
    let (mut file, mut rows) = (Vec::new(), 0);
    while let Some(part) = parts.message().await? {
        assert!(part.chunk.ends_with(b"\n") && part.chunk.len() < 512 * 1024);
        assert!(part.rows >= rows);
        rows = part.rows;
        file.extend(part.chunk);
    }
    Ok((file, rows))
}

/// What a company has of everything.
struct Filled {
    ada: Person,
    bike: Device,
    ticket: Ticket,
    payment: Transaction,
}

/// Makes rows in every table.
async fn fill(sandbox: &Sandbox, owner: &Owner) -> anyhow::Result<Filled> {
    let (make, clients) = (Maker::new(sandbox, owner), sandbox.clients());
    let mut planter = Planter::new(sandbox, owner)?;
    let country = planter.plant(PlaceKind::Country, "", "Kenya").await?;
    let mut city = planter.plant(PlaceKind::City, &country.id, NASTY).await?;
    let site = planter.plant(PlaceKind::Site, &city.id, "Westlands").await?;
    // It refers to one with a greater key from now on.
    city.parent_id = planter.plant(PlaceKind::Country, "", "Uganda").await?.id;
    let moved = UpdatePlaceRequest { place: Some(city), update_mask: None };
    clients.places()?.update_place(owner.request(moved)).await?;

    let ada = Person {
        kind: PersonKind::Agent.into(),
        name: NASTY.into(),
        birth_date: Some(Date { year: 815, month: 1, day: 2 }),
        labels: [("k,\"".into(), NASTY.into())].into(),
        ..Default::default()
    };
    let ada = CreatePersonRequest { person: Some(ada), ..Default::default() };
    let ada = sandbox.people()?.create_person(owner.request(ada)).await?.into_inner();
    let address = Address { person_id: ada.id.clone(), place_id: site.id, street: NASTY.into(), ..Default::default() };
    let address = CreateAddressRequest { address: Some(address), ..Default::default() };
    clients.addresses()?.create_address(owner.request(address)).await?;

    let price = |units, nanos| Some(kes(units, nanos));
    let tariff =
        Tariff { name: NASTY.into(), price: price(0, 10_000_000), access_fee: price(2, 0), ..Default::default() };
    let tariff = CreateTariffRequest { tariff: Some(tariff), ..Default::default() };
    let tariff_id = clients.tariffs()?.create_tariff(owner.request(tariff)).await?.into_inner().id;
    let maker = make.manufacturer(NASTY).await?;
    let meter = Details::Meter(Meter { tariff_id, phases: Some(3), in_use: true, ..Default::default() });
    let system = Details::SolarHomeSystem(SolarHomeSystem { panel_watts: Some(0), battery_watt_hours: None });
    let bike = EBike {
        mileage_metres: Some(i64::MAX),
        locked: true,
        latitude: Some(-1.1),
        longitude: Some(36.7),
        last_seen_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 123_456_000 }),
        ..Default::default()
    };
    make.device(Device { person_id: ada.id.clone(), ..device(&maker, "1", meter) }).await??;
    make.device(device(&maker, "2", system)).await??;
    let bike = make.device(device(&maker, NASTY, Details::EBike(bike))).await??;

    let mut till = Till::new(sandbox, owner)?;
    till.owe(&ada.id, kes(5, 500_000_000)).await??;
    let paid = kes((1 << 53) + 1, 250_000_000);
    let payment = till.book(Transaction { person_id: ada.id.clone(), ..payment("big", paid) }).await?;
    let bob = make.person("Bob").await?;
    let wrong = till.book(Transaction { person_id: bob.clone(), ..self::payment("wrong", kes(1, 0)) }).await?;
    till.refund(&wrong.id, "right").await?;

    let repairs = category(sandbox, owner, NASTY).await?;
    let ticket = Ticket { description: NASTY_LINES.into(), person_id: bob.clone(), ..about(&repairs, NASTY) };
    let ticket = open(sandbox, owner, ticket).await?;
    let comment =
        AddTicketCommentRequest { ticket_id: ticket.id.clone(), body: NASTY_LINES.into(), ..Default::default() };
    clients.tickets()?.add_ticket_comment(owner.request(comment)).await?;

    Shop::open(sandbox, owner).await?.sold(&bob).await?;
    let mut desk = Desk::open(sandbox, owner).await?;
    desk.template("paid", "sw", NASTY_LINES).await?;
    desk.say(NASTY_LINES).await?;
    Ok(Filled { ada, bike, ticket, payment })
}

/// `table.column` of all that the company's database has.
async fn columns(sandbox: &Sandbox, database: &str) -> anyhow::Result<BTreeSet<String>> {
    let sql = match sandbox.on_server().map(|server| server.admin_url()) {
        None => {
            "SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        }
        Some(url) if url.starts_with("mysql") => {
            "SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns \
             WHERE table_schema = DATABASE()"
        }
        Some(_) => {
            "SELECT concat(table_name, '.', column_name) FROM information_schema.columns \
             WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        }
    };
    Ok(sandbox.ask_in(database, sql).await?.into_iter().collect())
}

async fn every_table_is_exported_or_left_out_for_a_reason(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Tables").await?;
    for set in migrator::sets::plugins()? {
        with_plugin(sandbox, &owner, set.name().strip_prefix("plugin_").context("a plugin's set")?).await?;
    }
    let database = database_of(sandbox, &Operator::of(sandbox).await?, &owner.company.id).await?;
    let there = columns(sandbox, &database).await?;
    let table_of = |column: &String| column.split('.').next().unwrap_or_default().to_owned();

    let listed: BTreeSet<_> = TABLES
        .iter()
        .flat_map(|table| table.named_columns().map(|column| format!("{}.{column}", table.name)))
        .collect();
    let unlisted = there.iter().filter(|column| LEFT_OUT.iter().all(|(table, _)| *table != table_of(column)));
    let unlisted: BTreeSet<_> = unlisted.cloned().collect();
    assert_eq!(unlisted, listed, "crm::everything::TABLES is not what there is");
    assert!(LEFT_OUT.iter().any(|(table, _)| *table == LEDGER) && LEFT_OUT.iter().any(|(table, _)| *table == PROGRESS));
    // Only MariaDB needs a table of progress.
    let gone =
        LEFT_OUT.iter().filter(|(table, _)| *table != PROGRESS && !there.iter().any(|it| table_of(it) == *table));
    assert_eq!(gone.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
    let reasons = TABLES.iter().flat_map(|table| table.left_out).chain(LEFT_OUT);
    assert_eq!(reasons.filter(|(_, reason)| reason.is_empty()).count(), 0);

    if sandbox.on_server().is_none() {
        let keys = "SELECT DISTINCT m.name || ' ' || f.\"table\" FROM sqlite_master m \
                    JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'";
        let first = |name: &str| TABLES.iter().position(|table| table.name == name);
        let keys = sandbox.ask_in(&database, keys).await?;
        assert!(keys.len() > 10, "{keys:?}");
        for key in keys {
            let (from, to) = key.split_once(' ').context("two tables")?;
            // A table that refers to itself is read by kinds.
            let by_kind = from == to && TABLES.iter().any(|table| table.name == from && !table.only.is_empty());
            assert!(first(from).is_none() || first(to) < first(from) || by_kind, "{from} comes before {to}");
        }
    }
    Ok(())
}

async fn every_row_is_in_it_once_after_what_it_refers_to(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Everything").await?;
    fill(sandbox, &owner).await?;
    let whole = Whole::of(sandbox, &owner).await?;
    let database = database_of(sandbox, &Operator::of(sandbox).await?, &owner.company.id).await?;
    let mut there = BTreeMap::new();
    for table in TABLES {
        let counted =
            sandbox.ask_in(&database, &format!("SELECT CAST(COUNT(*) AS CHAR(20)) FROM {}", table.name)).await?;
        let count: u64 = counted[0].trim().parse()?;
        assert!(count > 0, "{} is empty", table.name);
        there.insert(table.kind.to_owned(), count);
    }
    assert_eq!(whole.told(), there);

    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, (kind, row)) in whole.rows.iter().enumerate() {
        if let Some(id) = row["id"].as_str() {
            assert_eq!(made.insert(id, at), None, "{kind} {id} is there twice");
        }
    }
    let mut references = 0;
    for (at, (kind, row)) in whole.rows.iter().enumerate() {
        let fields = row.as_object().context("an object")?.iter().filter(|(field, _)| *field != "id");
        for (field, id) in fields.filter_map(|(field, value)| Some((field, value.as_str()?))) {
            let Some(before) = made.get(id) else { continue };
            references += 1;
            assert!(*before < at, "{kind}.{field} {id} comes before what it refers to");
        }
        let keys: BTreeSet<_> = row.as_object().context("an object")?.keys().collect();
        let first = whole.of_kind(kind).next().and_then(Value::as_object).context("an object")?;
        assert_eq!(keys, first.keys().collect());
    }
    assert!(references > 30, "{references}");
    Ok(())
}

/// As an export writes it.
fn decimal(money: &Option<Money>) -> String {
    let nanos = nanos(money);
    let (units, rest) = (nanos.abs() / 1_000_000_000, nanos.abs() % 1_000_000_000);
    let text = format!("{}{units}.{rest:09}", if nanos < 0 { "-" } else { "" });
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn is_at(value: &Value, at: Option<prost_types::Timestamp>) -> bool {
    let text = value.as_str().expect("a moment");
    let read = DateTime::parse_from_rfc3339(text).expect("RFC 3339");
    let at = at.expect("a moment");
    text.ends_with('Z') && (read.timestamp(), read.timestamp_subsec_nanos()) == (at.seconds, at.nanos.unsigned_abs())
}

async fn rows_are_what_the_calls_answer(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Rows").await?;
    let Filled { ada, bike, ticket, payment } = fill(sandbox, &owner).await?;
    let whole = Whole::of(sandbox, &owner).await?;
    let head = &whole.head;
    assert_eq!((&head["format"], &head["version"]), (&json!("tenantry.crm.company"), &json!(1)));
    assert_eq!((&head["company_id"], &head["schema_version"]), (&json!(owner.company.id), &json!(crm::SCHEMA.newest)));
    let plugins = crm::PLUGINS.iter().map(|(name, range)| json!({ "name": name, "version": range.newest }));
    assert_eq!(head["plugins"], plugins.collect::<Value>());

    let row = whole.one("person", "id", &ada.id);
    assert!(is_at(&row["create_time"], ada.create_time) && is_at(&row["update_time"], ada.update_time), "{row}");
    let me = row["creator_id"].as_str().context("a user")?;
    let expected = json!({
        "id": ada.id, "kind": "AGENT", "title": null, "name": NASTY, "surname": "", "birth_date": "0815-01-02",
        "gender": null, "education": null, "nationality": null, "labels": { "k,\"": NASTY }, "creator_id": me,
        "create_time": row["create_time"], "update_time": row["update_time"], "etag": ada.etag,
    });
    assert_eq!(*row, expected);

    let row = whole.one("device", "id", &bike.id);
    assert_eq!((&row["kind"], &row["serial"], &row["etag"]), (&json!("E_BIKE"), &json!(NASTY), &json!(bike.etag)));
    let row = whole.one("e_bike", "device_id", &bike.id);
    let expected = json!({
        "device_id": bike.id, "mileage_metres": i64::MAX.to_string(), "battery_percent": null, "locked": true,
        "latitude": -1.1, "longitude": 36.7, "last_seen_time": "2023-11-14T22:13:20.123456Z",
    });
    assert_eq!(*row, expected);

    let row = whole.one("transaction", "id", &payment.id);
    assert_eq!((&row["amount"], &row["currency"]), (&json!("9007199254740993.25"), &json!("KES")));
    assert_eq!(
        (&row["kind"], &row["external_id"], &row["refund_of"]),
        (&json!("PAYMENT"), &json!("big"), &Value::Null)
    );
    let refund = whole.of_kind("transaction").last().context("a refund")?;
    assert_eq!((&refund["kind"], refund["refund_of"].is_string()), (&json!("REFUND"), true));
    let parts: Vec<_> = whole.of_kind("allocation").filter(|row| row["transaction_id"] == payment.id).collect();
    assert_eq!(parts.len(), payment.allocations.len());
    for part in &payment.allocations {
        assert!(
            parts.iter().any(|row| row["amount"] == decimal(&part.amount) && row["currency"] == "KES"),
            "{parts:?}"
        );
    }
    let balances = Till::new(sandbox, &owner)?.balances(&ada.id).await?;
    let row = whole.one("account", "person_id", &ada.id);
    for (field, money) in [("paid", &balances[0].paid), ("credit", &balances[0].credit), ("owed", &balances[0].owed)] {
        assert_eq!(row[field], decimal(money), "{field}");
    }
    let sale = whole.of_kind("sale").next().context("a sale")?;
    let instalments: Vec<_> = whole.of_kind("instalment").collect();
    assert!(instalments.iter().all(|row| row["sale_id"] == sale["id"] && row["currency"] == sale["currency"]));
    assert_eq!(instalments.iter().map(|row| row["number"].as_i64()).collect::<Vec<_>>(), [0, 1, 2, 3].map(Some));
    let amounts = instalments.iter().map(|row| row["amount"].as_str().unwrap_or_default());
    assert_eq!(amounts.collect::<Vec<_>>(), ["10", "30", "30", "30"]);

    let row = whole.one("ticket", "id", &ticket.id);
    assert_eq!((&row["title"], &row["description"]), (&json!(ticket.title), &json!(NASTY_LINES)));
    assert_eq!((&row["status"], &row["creator_id"]), (&json!("OPEN"), &json!(ticket.creator_id)));
    assert_eq!(whole.one("ticket_comment", "ticket_id", &ticket.id)["body"], NASTY_LINES);
    let sms = whole.of_kind("sms").next().context("a message")?;
    assert_eq!((&sms["state"], &sms["body"], &sms["attempts"]), (&json!("QUEUED"), &json!(NASTY_LINES), &json!(0)));

    let about_ada = ListAuditEntriesRequest { entity_id: ada.id.clone(), ..Default::default() };
    let entries = sandbox.clients().audit()?.list_audit_entries(owner.request(about_ada)).await?.into_inner().entries;
    for entry in &entries {
        let row = whole.one("audit_entry", "id", &entry.id);
        assert_eq!((&row["actor"], &row["action"]), (&json!(entry.actor), &json!(entry.action)));
        assert!(is_at(&row["occur_time"], entry.occur_time));
    }
    let made = entries.last().context("an entry")?;
    assert_eq!(whole.one("audit_entry", "id", &made.id)["after"]["name"], NASTY);
    // What a reader would round, wherever it is.
    let paid = whole.one("audit_entry", "entity_id", &payment.id);
    assert!(paid["after"].to_string().contains("\"9007199254740993\""), "{paid}");
    Ok(())
}

async fn no_page_loses_or_repeats_a_row(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Pages").await?;
    let rows: String = (0..450).map(|n| format!("{{\"name\":\"P{n}\"}}\n")).collect();
    let json = options(TransferFormat::JsonLines, ImportMode::BestEffort);
    assert_eq!(import(sandbox, &owner, json, rows.as_bytes()).await?.counts(), Some((450, 450, 0)));
    // Three to each person: a page ends between two of them.
    let database = database_of(sandbox, &Operator::of(sandbox).await?, &owner.company.id).await?;
    for currency in ["AAA", "KES", "ZZZ"] {
        let accounts = format!(
            "INSERT INTO accounts (person_id, currency, paid_units, paid_nanos, credit_units, credit_nanos, owed_units, \
             owed_nanos, updated_at) SELECT id, '{currency}', 9223372036854775807, 999999999, -9223372036854775807, \
             -999999999, 0, -500000000, created_at FROM people"
        );
        sandbox.run_in(&database, &accounts).await?;
    }
    let whole = Whole::of(sandbox, &owner).await?;
    let people: Vec<_> = whole.of_kind("person").map(|row| row["id"].as_str().unwrap_or_default()).collect();
    let request = ListPeopleRequest { page_size: 1_000, ..Default::default() };
    let listed = sandbox.people()?.list_people(owner.request(request)).await?.into_inner().people;
    assert_eq!(people, listed.iter().map(|person| person.id.as_str()).collect::<Vec<_>>());

    let key = |row: &Value| (row["person_id"].to_string(), row["currency"].to_string());
    let accounts: Vec<_> = whole.of_kind("account").map(key).collect();
    let all =
        people.iter().flat_map(|id| ["AAA", "KES", "ZZZ"].map(|code| (json!(id).to_string(), json!(code).to_string())));
    assert_eq!(accounts, all.collect::<Vec<_>>());
    let row = whole.of_kind("account").next().context("an account")?;
    let amounts = [&row["paid"], &row["credit"], &row["owed"]];
    assert_eq!(amounts, ["9223372036854775807.999999999", "-9223372036854775807.999999999", "-0.5"]);
    Ok(())
}

async fn nothing_of_other_companies_or_missing_plugins_is_in_it(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (one, other) = (Owner::of_new_company(sandbox, "One").await?, Owner::of_new_company(sandbox, "Two").await?);
    fill(sandbox, &one).await?;
    Maker::new(sandbox, &other).person("Only the other's").await?;
    let (ours, theirs) = (Whole::of(sandbox, &one).await?, Whole::of(sandbox, &other).await?);
    let names = |whole: &Whole| whole.of_kind("person").map(|row| row["name"].clone()).collect::<Vec<_>>();
    assert_eq!((names(&ours), names(&theirs)), (vec![json!(NASTY), json!("Bob")], vec![json!("Only the other's")]));
    assert_eq!(theirs.head["company_id"], other.company.id);
    // What both began with has the same ids in both.
    let made = |whole: &Whole| -> BTreeSet<String> {
        let seeded = |kind: &str| ["ticket_category", "tariff", "manufacturer"].contains(&kind);
        let rows = whole.rows.iter().filter(|(kind, _)| !seeded(kind));
        rows.filter_map(|(_, row)| row["id"].as_str().map(str::to_owned)).collect()
    };
    assert!(made(&ours).is_disjoint(&made(&theirs)) && made(&theirs).len() >= 2);

    let of_plugins: BTreeSet<_> =
        TABLES.iter().filter(|table| table.plugin.is_some()).map(|table| table.kind).collect();
    assert_eq!((&theirs.head["plugins"], of_plugins.len()), (&json!([]), 5));
    assert!(of_plugins.iter().all(|kind| !theirs.told().contains_key(*kind) && ours.told().contains_key(*kind)));

    // Uninstalled, its tables are kept, and in no export.
    without_appliances(sandbox, &one).await?;
    let left = Whole::of(sandbox, &one).await?;
    let of_plugins: Vec<_> = of_plugins.into_iter().filter(|kind| left.told().contains_key(*kind)).collect();
    assert_eq!((of_plugins, left.head["plugins"].as_array().map(Vec::len)), (vec!["sms", "sms_template"], Some(1)));
    assert_eq!(left.told()["debt"], ours.told()["debt"]);
    Ok(())
}

/// Uninstalls the plugin, and waits until the crm has heard of it.
async fn without_appliances(sandbox: &Sandbox, owner: &Owner) -> anyhow::Result<()> {
    uninstall(sandbox, owner, "appliances").await?;
    crate::processes::eventually("the end of the plugin", async || {
        let list = owner.request(Default::default());
        Ok(sandbox.clients().appliances()?.list_appliances(list).await.is_err().then_some(()))
    })
    .await
}

async fn only_admins_take_it(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Guarded").await?;
    for role in ["viewer", "member"] {
        let member = Member::invited_by(sandbox, &owner, role).await?;
        assert_eq!(reason(Whole::of(sandbox, &member).await), Some(Reason::ScopeMissing), "{role}");
    }
    let admin = Member::invited_by(sandbox, &owner, "admin").await?;
    assert_eq!(Whole::of(sandbox, &admin).await?.head["company_id"], owner.company.id);
    Ok(())
}

/// More than there is room for on the way, so an export that nobody reads has not come far.
async fn crowd(sandbox: &Sandbox, owner: &Owner) -> anyhow::Result<()> {
    let labels: serde_json::Map<_, _> = (0..64).map(|n| (format!("k{n}"), json!("x".repeat(255)))).collect();
    let rows: String =
        (0..600).map(|n| format!("{}\n", json!({ "name": format!("P{n}"), "labels": labels }))).collect();
    let json = options(TransferFormat::JsonLines, ImportMode::BestEffort);
    anyhow::ensure!(import(sandbox, owner, json, rows.as_bytes()).await?.counts() == Some((600, 600, 0)));
    Ok(())
}

async fn what_is_not_there_any_more_half_way_ends_it(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Half-way").await?;
    Shop::open(sandbox, &owner).await?;
    crowd(sandbox, &owner).await?;

    let mut parts = begin(sandbox, &owner).await?;
    assert!(parts.message().await?.is_some_and(|part| part.rows > 0));
    without_appliances(sandbox, &owner).await?;
    assert_eq!(reason(rest(&mut parts).await), Some(Reason::PluginNotInstalled));

    let mut parts = begin(sandbox, &owner).await?;
    assert!(parts.message().await?.is_some_and(|part| part.rows > 0));
    Operations::of(sandbox).await?.suspend(&owner.company.id).await?;
    crate::processes::eventually("the suspension", async || {
        Ok(sandbox.people()?.list_people(owner.request(Default::default())).await.is_err().then_some(()))
    })
    .await?;
    assert_eq!(reason(rest(&mut parts).await), Some(Reason::TenantSuspended));
    Ok(())
}
