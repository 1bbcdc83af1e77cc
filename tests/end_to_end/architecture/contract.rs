//! What every RPC has to say in its proto: who may call it, and how it fails.

use anyhow::Context as _;
use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::{DescriptorPool, FileDescriptor};
use tenantry_api::access::{AccessRules, descriptor_pool};
use tenantry_rpc::{Kind, Reason};

use super::{Breach, hold, root, screaming};

/// Reasons that no proto comment speaks of. They belong into the list of what any call can get, in `access.proto`.
const UNSPOKEN: &[&str] = &[];

#[test]
fn every_rpc_says_who_may_call_it_and_how_it_fails() -> anyhow::Result<()> {
    let mut breaches = Vec::new();
    // The example's too: it is what others begin with.
    let example = DescriptorPool::decode(notes::DESCRIPTORS)?;
    let ours = descriptor_pool()?.services().filter(|service| service.full_name().starts_with("tenantry."));
    for service in ours.chain(example.services()) {
        let rules = match service.parent_pool() == &example {
            true => AccessRules::of_services_in(notes::DESCRIPTORS, [service.full_name()]),
            false => AccessRules::of_services([service.full_name()]),
        };
        if let Err(error) = rules {
            breaches.push(Breach::new(service.full_name(), error.to_string()));
        }
        for method in service.methods() {
            let comment = comment_at(&service.parent_file(), method.path());
            match comment.split_once("Errors:") {
                Some((_, errors)) if !errors.trim().is_empty() => {
                    breaches.extend(misspelt(errors).map(|problem| Breach::new(method.full_name(), problem)));
                }
                _ => breaches.push(Breach::new(method.full_name(), "its comment has no \"Errors:\"")),
            }
        }
    }
    hold("Every RPC says who may call it and how it fails.", breaches, &[]);
    Ok(())
}

/// By which stock clients know what they may retry.
#[test]
fn what_only_reads_says_so() -> anyhow::Result<()> {
    const READS: [&str; 6] = ["Get", "List", "Search", "Watch", "Resolve", "Export"];
    let example = DescriptorPool::decode(notes::DESCRIPTORS)?;
    let ours = descriptor_pool()?.services().chain(example.services());
    let methods: Vec<_> = ours.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    let breaches = methods.iter().filter_map(|method| {
        let options = method.method_descriptor_proto().options.as_ref();
        let level = options.map(|options| options.idempotency_level()).unwrap_or_default();
        let reads = READS.iter().any(|verb| method.name().starts_with(verb));
        let problem = match (reads, level) {
            (true, IdempotencyLevel::NoSideEffects) | (false, IdempotencyLevel::IdempotencyUnknown) => return None,
            (true, _) => "its name says that it only reads, and its idempotency_level is not NO_SIDE_EFFECTS",
            (false, _) => "its name does not say that it only reads, as its idempotency_level does",
        };
        Some(Breach::new(method.full_name(), problem))
    });
    hold("What only reads says so.", breaches.collect(), &[]);
    Ok(())
}

#[test]
fn the_published_service_config_is_the_contracts() -> anyhow::Result<()> {
    let published: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(root().join("proto/service_config.json"))?)?;
    let now = tenantry::service_config()?;
    assert!(published == now, "`tenantry service-config > proto/service_config.json` writes it as it has to be");
    Ok(())
}

/// Lists of errors outside of RPCs, such as the one of what any call can get.
#[test]
fn every_error_stands_under_its_code() -> anyhow::Result<()> {
    let comments = comments()?;
    let breaches = comments.iter().flat_map(|(file, comment)| {
        listed(comment).into_iter().filter_map(|error| Some(Breach::new(file.clone(), error.problem()?)))
    });
    hold("Every error stands under its code.", breaches.collect(), &[]);
    Ok(())
}

#[test]
fn every_reason_is_spoken_of() -> anyhow::Result<()> {
    let comments = comments()?;
    let spoken = |reason: &Reason| comments.iter().any(|(_, text)| capitals(text).any(|word| word == reason.as_str()));
    let silent = Reason::ALL.iter().filter(|reason| !spoken(reason));
    let breaches = silent.map(|reason| Breach::new(reason.as_str(), "no proto comment says when a caller gets it"));
    hold("Every reason is spoken of in proto/.", breaches.collect(), UNSPOKEN);
    Ok(())
}

/// An error in a list: `- NOT_FOUND/COMPANY_NOT_FOUND`.
struct Listed {
    code: String,
    reason: String,
}

impl Listed {
    fn problem(&self) -> Option<String> {
        let Self { code, reason } = self;
        let Ok(known) = reason.parse::<Reason>() else { return Some(format!("there is no reason {reason}")) };
        let expected = code_of(known.kind());
        (*code != expected).then(|| format!("{reason} is {expected}, not {code}"))
    }
}

/// The errors of every item of a list that is one of errors.
fn listed(comment: &str) -> Vec<Listed> {
    let items = comment.split("\n- ").skip(1).flat_map(|item| {
        let head = item.split([':', '.', ';']).next().unwrap_or_default();
        let (code, reasons) = head.split_once('/').filter(|(code, _)| is_capital(code.trim()))?;
        Some(capitals(reasons).map(|reason| Listed { code: code.trim().to_owned(), reason: reason.to_owned() }))
    });
    items.flatten().collect()
}

/// What is wrong with the errors of an RPC: items without code and reason, and words that look like a reason.
fn misspelt(errors: &str) -> impl Iterator<Item = String> {
    let items = errors.split("\n- ").skip(1).filter(|item| listed(&format!("\n- {item}")).is_empty());
    let odd = items.map(|item| format!("{:?} is not CODE/REASON", item.lines().next().unwrap_or_default()));
    let known = |word: &str| word.parse::<Reason>().is_ok() || Reason::ALL.iter().any(|r| code_of(r.kind()) == word);
    let words = capitals(errors).filter(|word| word.contains('_')).filter(move |word| !known(word));
    odd.chain(words.map(|word| format!("there is no reason {word}")))
}

/// The name of the code, which the kinds are named after.
fn code_of(kind: Kind) -> String {
    screaming(&format!("{kind:?}"))
}

/// Every comment of our protos, with its file.
fn comments() -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for file in descriptor_pool()?.files().filter(|file| file.name().starts_with("tenantry/")) {
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        for place in &info.with_context(|| format!("{} has no comments", file.name()))?.location {
            let own = [place.leading_comments(), place.trailing_comments()].map(str::to_owned);
            let all = own.into_iter().chain(place.leading_detached_comments.clone());
            found.extend(all.map(|text| (file.name().to_owned(), unindented(&text))));
        }
    }
    Ok(found)
}

fn comment_at(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let place = info.and_then(|info| info.location.iter().find(|place| place.path == path));
    place.map(|place| unindented(place.leading_comments())).unwrap_or_default()
}

/// The compiler keeps the space after each `//`.
fn unindented(comment: &str) -> String {
    comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The words in capitals, of three letters or more.
fn capitals(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| is_capital(word))
}

fn is_capital(word: &str) -> bool {
    word.len() > 2 && word.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
}

#[test]
fn a_comment_is_read_as_people_read_it() {
    let errors = "\n- NOT_FOUND/COMPANY_NOT_FOUND: the UUID is unknown.\n- ABORTED/NO_SUCH, ETAG_MISMATCH, with\n  RetryInfo;\n- by hand.";
    let read: Vec<_> = listed(errors).iter().map(|error| error.problem()).collect();
    assert_eq!(read, [None, Some("there is no reason NO_SUCH".to_owned()), None]);
    let problems: Vec<_> = misspelt(errors).collect();
    assert_eq!(problems, ["\"by hand.\" is not CODE/REASON", "there is no reason NO_SUCH"]);
    let wrong = listed("\n- NOT_FOUND/ETAG_MISMATCH").remove(0).problem();
    assert_eq!(wrong.as_deref(), Some("ETAG_MISMATCH is ABORTED, not NOT_FOUND"));
}
