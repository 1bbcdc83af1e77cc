use std::collections::HashSet;

use super::*;
use crate::demo::data::Data;

fn everybody<'c>(company: &'c Company<'_>, people: u32) -> impl Iterator<Item = Resident> + 'c {
    (0..people).map(|number| company.resident(number).expect("a person"))
}

#[test]
fn a_seed_makes_the_same_people_and_another_seed_others() {
    let data = Data::load().expect("the data");
    let people = |seed, number| everybody(&Company::new(&data, seed, number), 50).collect::<Vec<_>>();
    assert_eq!(people(1, 1), people(1, 1));
    assert_ne!(people(1, 1), people(2, 1));
    assert_ne!(people(1, 1), people(1, 2));
    // However many there are, and in any order.
    let company = Company::new(&data, 1, 1);
    assert_eq!(company.resident(49), people(1, 1).pop());
}

#[test]
fn people_write_in_many_scripts() {
    let data = Data::load().expect("the data");
    let scripts = |companies: std::ops::RangeInclusive<u32>, people| {
        let names = companies.flat_map(|number| {
            let company = Company::new(&data, 1, number);
            everybody(&company, people).map(|resident| resident.person.name).collect::<Vec<_>>()
        });
        names.filter_map(|name| name.chars().next().map(script)).collect::<HashSet<_>>()
    };
    let all = scripts(1..=4, 100);
    let wanted = [
        "Arabic",
        "Armenian",
        "Bengali",
        "Cyrillic",
        "Devanagari",
        "Ethiopic",
        "Georgian",
        "Greek",
        "Han",
        "Hangul",
        "Hebrew",
        "Latin",
        "Sinhala",
        "Thai",
    ];
    assert!(wanted.iter().all(|script| all.contains(script)), "{all:?}");
    assert!((1..=4).all(|number| scripts(number..=number, 10).len() >= 2), "some of them in the smallest company");
}

fn script(letter: char) -> &'static str {
    match letter as u32 {
        0x0000..0x0250 | 0x1e00..0x1f00 => "Latin",
        0x0370..0x0400 | 0x1f00..0x2000 => "Greek",
        0x0400..0x0530 => "Cyrillic",
        0x0530..0x0590 => "Armenian",
        0x0590..0x0600 => "Hebrew",
        0x0600..0x0700 => "Arabic",
        0x0900..0x0980 => "Devanagari",
        0x0980..0x0a00 => "Bengali",
        0x0d80..0x0e00 => "Sinhala",
        0x0e00..0x0e80 => "Thai",
        0x10a0..0x1100 => "Georgian",
        0x1200..0x1380 => "Ethiopic",
        0x3040..0x3100 => "Kana",
        0x4e00..0xa000 => "Han",
        0xac00..0xd7b0 => "Hangul",
        other => panic!("{letter} ({other:x})"),
    }
}

#[test]
fn what_has_to_be_unique_is_in_the_largest_company() {
    let data = Data::load().expect("the data");
    let company = Company::new(&data, 3, 2);
    let (mut serials, mut payments, mut payment_count, mut people) = (HashSet::new(), HashSet::new(), 0, 0);
    for resident in everybody(&company, 100_000) {
        people += 1;
        for device in resident.devices {
            let (maker, serial) = (device.what.manufacturer, device.what.device.serial);
            assert!(serials.insert((maker, serial.clone())), "{serial} twice");
        }
        for payment in resident.payments {
            payment_count += 1;
            payments.insert(payment.transaction.external_id);
        }
    }
    assert_eq!((people, payments.len()), (100_000, payment_count));
    assert!(serials.len() > 80_000 && payment_count > 200_000, "{} {payment_count}", serials.len());
}

#[test]
fn request_ids_are_each_things_own() {
    let data = Data::load().expect("the data");
    let company = Company::new(&data, 1, 1);
    let things = [Thing::Person, Thing::Address, Thing::Device, Thing::Ticket];
    let ids = things.iter().flat_map(|thing| {
        let company = &company;
        (0..500).flat_map(move |number| (0..2).map(move |nth| company.request_id(*thing, [number, nth])))
    });
    assert_eq!(ids.collect::<HashSet<_>>().len(), 4 * 500 * 2);
}

#[test]
fn everything_fits_its_field() {
    let data = Data::load().expect("the data");
    for number in 1..=4 {
        let company = Company::new(&data, 9, number);
        for resident in everybody(&company, 2_000) {
            let short = |text: &str, most| text.chars().count() <= most && text.trim() == text;
            assert!(short(&resident.person.name, 200) && !resident.person.name.is_empty());
            assert!(resident.addresses.iter().filter(|address| address.what.primary).count() == 1);
            for At { place, what } in &resident.addresses {
                assert_eq!(company.places[*place].place.kind(), PlaceKind::Site);
                let digits = what.phone.strip_prefix('+').expect("a number");
                assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()));
                let (local, domain) = what.email.split_once('@').unwrap_or(("x", "example.org"));
                assert!((1..=64).contains(&local.len()) && domain == "example.org", "{}", what.email);
                assert!(!local.contains(char::is_whitespace), "{}", what.email);
            }
            for payment in &resident.payments {
                let amount = payment.transaction.amount.as_ref().expect("an amount");
                let money = &company.countries[0].money;
                assert_eq!(amount.currency_code, money.currency);
                assert!(amount.units >= money.least as i64 && amount.units <= money.most as i64, "{amount:?}");
                assert_eq!(amount.nanos % 10_i32.pow(9 - money.decimals), 0, "{amount:?}");
                assert!(payment.device.is_none_or(|position| position < resident.devices.len()));
            }
        }
    }
}
