//! Text messages: what they are written from, how long they are, and what becomes of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::Serialize;
use tenantry_ids::{PersonId, SmsId, SmsTemplateId};

use super::content::{Content, Thing, writable};

/// How many segments a message has at most.
pub(crate) const MOST_SEGMENTS: usize = 10;
/// How often a message is taken by a gateway before it is given up.
pub(crate) const MOST_ATTEMPTS: i32 = 5;

writable! {
    /// What messages are written from.
    SmsTemplate {
        name: String,
        language: String,
        body: String,
    }
}

impl Content for SmsTemplate {
    type Id = SmsTemplateId;
    const THING: Thing = Thing::SmsTemplate;
}

/// A part of a template's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Placeholder(&'t str),
}

/// The parts of a body; an error says what is wrong with it.
fn pieces(body: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let (mut pieces, mut rest) = (Vec::new(), body);
    while let Some(at) = rest.find(['{', '}']) {
        let (text, brace) = rest.split_at(at);
        pieces.push(Piece::Text(text));
        if let Some(after) = brace.strip_prefix("{{") {
            pieces.push(Piece::Text("{"));
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            pieces.push(Piece::Text("}"));
            rest = after;
        } else {
            let inner = brace.strip_prefix('{').ok_or("must write a brace that is text as }}")?;
            let (name, after) = inner.split_once('}').ok_or("must close each placeholder, or write {{ for a brace")?;
            if !is_name(name) {
                return Err("must name placeholders in a to z, 0 to 9 and _, as {amount}, or write {{ for a brace");
            }
            pieces.push(Piece::Placeholder(name));
            rest = after;
        }
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(fits)
}

/// The names of a body's placeholders, each once, in their order; an error says what is wrong with the body.
pub(crate) fn placeholders(body: &str) -> Result<Vec<&str>, &'static str> {
    let mut names = Vec::new();
    for piece in pieces(body)? {
        if let Piece::Placeholder(name) = piece
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// The body with its values; an error names one that is missing, or that has no placeholder. What values contain is
/// text, also where it looks like a placeholder.
pub(crate) fn write(body: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let pieces = pieces(body).map_err(str::to_owned)?;
    let named = |name: &str| pieces.contains(&Piece::Placeholder(name));
    if let Some(name) = values.keys().find(|name| !named(name)) {
        return Err(format!("must have no {name}, which the template does not"));
    }
    let texts = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => Ok(*text),
        Piece::Placeholder(name) => {
            values.get(*name).map(String::as_str).ok_or_else(|| format!("must have a value for {name}"))
        }
    });
    texts.collect()
}

/// The alphabet of GSM, of one septet each, and what takes two (3GPP TS 23.038).
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                   abcdefghijklmnopqrstuvwxyzäöñüà";
const GSM_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How many segments a body is sent in.
pub(crate) fn segments(body: &str) -> usize {
    let septets = |letter: char| {
        if GSM.contains(letter) { Some(1) } else { GSM_EXTENSION.contains(letter).then_some(2) }
    };
    match body.chars().map(septets).collect::<Option<Vec<_>>>() {
        Some(widths) => packed(&widths, 160, 153),
        None => packed(&body.chars().map(char::len_utf16).collect::<Vec<_>>(), 70, 67),
    }
}

/// Characters of these widths in segments; none is cut in two.
fn packed(widths: &[usize], single: usize, each: usize) -> usize {
    if widths.iter().sum::<usize>() <= single {
        return 1;
    }
    let (mut segments, mut used) = (1, 0);
    for width in widths {
        if used + width > each {
            segments += 1;
            used = 0;
        }
        used += width;
    }
    segments
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
#[serde(rename_all = "snake_case")]
pub(crate) enum SmsState {
    #[sea_orm(string_value = "queued")]
    Queued,
    #[sea_orm(string_value = "sent")]
    Sent,
    #[sea_orm(string_value = "delivered")]
    Delivered,
    #[sea_orm(string_value = "failed")]
    Failed,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Sms {
    pub(crate) person_id: Option<PersonId>,
    pub(crate) template_id: Option<SmsTemplateId>,
    pub(crate) phone: String,
    pub(crate) body: String,
    pub(crate) state: SmsState,
    pub(crate) attempts: i32,
    pub(crate) provider_reference: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    /// Until then nobody else takes it.
    pub(crate) lease_until: Option<DateTime<Utc>>,
    pub(crate) fence: i64,
}

impl Content for Sms {
    type Id = SmsId;
    const THING: Thing = Thing::Sms;
}

/// What a gateway says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    Delivered,
    Failed { error: Option<String>, retry: bool },
}

impl Sms {
    /// After what a gateway said; as it was where that is nothing new.
    pub(crate) fn reported(&self, outcome: &Outcome, reference: Option<&str>, now: DateTime<Utc>) -> Self {
        let told = Self {
            provider_reference: reference.map(str::to_owned).or_else(|| self.provider_reference.clone()),
            lease_until: None,
            ..self.clone()
        };
        match (self.state, outcome) {
            (SmsState::Delivered | SmsState::Failed, _) | (SmsState::Sent, Outcome::Sent) => self.clone(),
            // Reported before, and waiting for the next gateway.
            (SmsState::Queued, _) if self.lease_until.is_none() => self.clone(),
            (SmsState::Queued, Outcome::Sent) => {
                Self { state: SmsState::Sent, sent_at: Some(now), error: None, ..told }
            }
            (SmsState::Queued | SmsState::Sent, Outcome::Delivered) => {
                Self { state: SmsState::Delivered, sent_at: self.sent_at.or(Some(now)), error: None, ..told }
            }
            (SmsState::Queued, Outcome::Failed { error, retry: true }) if self.attempts < MOST_ATTEMPTS => {
                Self { error: error.clone(), ..told }
            }
            (SmsState::Queued | SmsState::Sent, Outcome::Failed { error, .. }) => {
                Self { state: SmsState::Failed, error: error.clone(), ..told }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_named_and_braces_are_doubled() {
        assert_eq!(placeholders("Hi {name}, {amount_2} {name}"), Ok(vec!["name", "amount_2"]));
        assert_eq!(placeholders("{{name}} is text, 電"), Ok(vec![]));
        for body in ["{", "}", "{name", "name}", "{}", "{ name }", "{Name}", "{1st}", "{a{b}}", "{é}"] {
            assert!(placeholders(body).is_err(), "{body}");
        }
        assert_eq!(placeholders("{{{a}}}"), Ok(vec!["a"]), "a placeholder in braces");
        let long = |length: usize| format!("{{{}}}", "a".repeat(length));
        assert!(placeholders(&long(40)).is_ok() && placeholders(&long(41)).is_err());
    }

    #[test]
    fn values_are_text_whatever_they_look_like() {
        let values = |pairs: &[(&str, &str)]| -> BTreeMap<_, _> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let both = values(&[("a", "{b}"), ("b", "{{")]);
        assert_eq!(write("{a}{b}{{a}}", &both).as_deref(), Ok("{b}{{{a}"));
        assert!(write("{a}", &values(&[])).is_err_and(|error| error.contains("value for a")));
        assert!(write("{a}", &both).is_err_and(|error| error.contains("no b")));
    }

    #[test]
    fn segments_are_counted_at_their_edges() {
        assert_eq!([0, 1, 160, 161, 306, 307].map(|count| segments(&"a".repeat(count))), [1, 1, 1, 2, 2, 3]);
        assert_eq!([80, 81].map(|count| segments(&"€".repeat(count))), [1, 2], "two septets each");
        // A pair of septets is not cut in two: 152 and a euro sign are one more than 153.
        assert_eq!(segments(&format!("{}€{}", "a".repeat(152), "a".repeat(151))), 2);
        assert_eq!(segments(&format!("{}€{}", "a".repeat(152), "a".repeat(152))), 3);
        assert_eq!([70, 71, 134, 135].map(|count| segments(&"電".repeat(count))), [1, 2, 2, 3]);
        assert_eq!([35, 36, 66, 67].map(|count| segments(&"🙂".repeat(count))), [1, 2, 2, 3], "33 of two units each");
        assert_eq!(segments(&format!("{}ç", "a".repeat(70))), 2, "one letter changes the alphabet");
        assert_eq!(segments(&format!("{}Ç", "a".repeat(70))), 1);
    }

    #[test]
    fn a_report_changes_a_message_once() {
        let (now, later) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + chrono::Duration::seconds(9));
        let taken = Sms {
            person_id: None,
            template_id: None,
            phone: "+254700000000".into(),
            body: "x".into(),
            state: SmsState::Queued,
            attempts: 1,
            provider_reference: None,
            error: None,
            sent_at: None,
            lease_until: Some(later),
            fence: 1,
        };
        let failed = |retry| Outcome::Failed { error: Some("busy".into()), retry };
        let sent = taken.reported(&Outcome::Sent, Some("p1"), now);
        assert_eq!((sent.state, sent.sent_at, sent.lease_until), (SmsState::Sent, Some(now), None));
        assert_eq!(sent.reported(&Outcome::Sent, Some("p2"), later), sent);
        let delivered = sent.reported(&Outcome::Delivered, None, later);
        assert_eq!((delivered.state, delivered.sent_at), (SmsState::Delivered, Some(now)));
        assert_eq!(delivered.provider_reference.as_deref(), Some("p1"));
        for outcome in [Outcome::Sent, Outcome::Delivered, failed(true), failed(false)] {
            assert_eq!(delivered.reported(&outcome, Some("p3"), later), delivered, "its end");
        }
        let waiting = taken.reported(&failed(true), None, now);
        assert_eq!((waiting.state, waiting.lease_until), (SmsState::Queued, None));
        assert_eq!(waiting.reported(&Outcome::Sent, None, now), waiting, "reported already");
        assert_eq!(taken.reported(&failed(false), None, now).state, SmsState::Failed);
        let last = Sms { attempts: MOST_ATTEMPTS, ..taken };
        assert_eq!(last.reported(&failed(true), None, now).state, SmsState::Failed);
        assert_eq!(sent.reported(&failed(true), None, now).state, SmsState::Failed, "the provider had it");
    }
}
