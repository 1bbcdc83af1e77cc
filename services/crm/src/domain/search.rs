//! What people are found by: words without case, accents and marks, so that all engines find the same.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

use super::{Address, Profile};

/// The rules by which tokens and keys are derived. Raised with every change of them: people with those of older rules
/// are derived anew before the next search.
pub(crate) const VERSION: i32 = 1;
/// The most words of a query.
pub(crate) const MOST_TERMS: usize = 8;
/// What a word that is found whole counts more than one that begins so.
pub(crate) const WHOLE: i32 = 4;

/// The longest token; a longer word is found by its beginning.
const MOST_CHARS: usize = 32;
const MOST_TOKENS: usize = 256;
const MOST_KEY_CHARS: usize = 160;
/// What is found in a name counts more than the middle of a word, and that more than what is found in an address.
const NAME: i32 = 3;
const MIDDLE: i32 = 2;
const CONTACT: i32 = 1;

/// What a person is found by, each word once with its weight.
pub(crate) fn tokens<'a>(profile: &Profile, addresses: impl IntoIterator<Item = &'a Address>) -> BTreeMap<String, i32> {
    let mut tokens = Tokens(BTreeMap::new());
    tokens.text(&profile.name, NAME);
    tokens.text(&profile.surname, NAME);
    for address in addresses {
        tokens.text(address.email.as_deref().unwrap_or_default(), CONTACT);
        // Without the +, and from any digit on: nobody types it as it is stored.
        let digits: Vec<char> = address.phone.iter().flat_map(|phone| phone.chars().skip(1)).collect();
        for from in 0..digits.len().saturating_sub(2) {
            tokens.add(digits[from..].iter().copied(), CONTACT);
        }
    }
    tokens.0
}

/// The words of a query: each must begin a token.
pub(crate) fn terms(query: &str) -> Vec<String> {
    let folded: String = fold(query).filter(|letter| !is_apostrophe(*letter)).collect();
    let mut terms: Vec<String> = Vec::new();
    for word in words(&folded) {
        let term: String = word.chars().take(MOST_CHARS).collect();
        if !terms.contains(&term) {
            terms.push(term);
        }
    }
    terms
}

/// What people are sorted by: family name, then given name.
pub(crate) fn name_key(profile: &Profile) -> String {
    let name = format!("{} {}", profile.surname, profile.name);
    fold(name.trim()).take(MOST_KEY_CHARS).collect()
}

struct Tokens(BTreeMap<String, i32>);

impl Tokens {
    /// The words of a text; with an apostrophe or a hyphen in it, also in one: O'Brien is found as obrien and as brien.
    fn text(&mut self, text: &str, weight: i32) {
        let folded: String = fold(text).collect();
        for word in words(&folded) {
            self.word(word, weight);
        }
        let joined: String = folded.chars().filter(|letter| !is_apostrophe(*letter) && *letter != '-').collect();
        if joined != folded {
            for word in words(&joined) {
                self.word(word, weight);
            }
        }
    }

    /// A word, and in scripts that write no blanks also what follows any of its letters.
    fn word(&mut self, word: &str, weight: i32) {
        self.add(word.chars(), weight);
        if word.chars().any(writes_no_blanks) {
            for (from, _) in word.char_indices().skip(1) {
                self.add(word[from..].chars(), weight.min(MIDDLE));
            }
        }
    }

    fn add(&mut self, letters: impl Iterator<Item = char>, weight: i32) {
        let token: String = letters.take(MOST_CHARS).collect();
        if self.0.len() < MOST_TOKENS || self.0.contains_key(&token) {
            let known = self.0.entry(token).or_insert(weight);
            *known = weight.max(*known);
        }
    }
}

/// Without case (Unicode's own lower case), compatibility forms (NFKD) and marks.
fn fold(text: &str) -> impl Iterator<Item = char> + '_ {
    let lower = text.chars().flat_map(char::to_lowercase);
    // A mark of class 0 is a letter's part, such as a vowel sign of Devanagari; the others are accents and points.
    let bare = lower.nfkd().filter(|letter| canonical_combining_class(*letter) == 0);
    bare.flat_map(char::to_lowercase).flat_map(|letter| {
        let [first, second] = spelt(letter);
        std::iter::once(first).chain((second != '\0').then_some(second))
    })
}

/// Letters that no decomposition takes apart, as they are typed without them.
fn spelt(letter: char) -> [char; 2] {
    match letter {
        'ß' => ['s', 's'],
        'æ' => ['a', 'e'],
        'œ' => ['o', 'e'],
        'þ' => ['t', 'h'],
        'ø' => ['o', '\0'],
        'ł' => ['l', '\0'],
        'đ' | 'ð' => ['d', '\0'],
        'ħ' => ['h', '\0'],
        'ı' => ['i', '\0'],
        'ŧ' => ['t', '\0'],
        'ς' => ['σ', '\0'],
        // The two ways to write the Arabic yeh and kaf, and teh marbuta.
        'ى' | 'ی' => ['ي', '\0'],
        'ک' => ['ك', '\0'],
        'ة' => ['ه', '\0'],
        other => [other, '\0'],
    }
}

fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn is_apostrophe(letter: char) -> bool {
    matches!(letter, '\'' | '\u{2019}' | '\u{02bc}' | '`' | '\u{00b4}')
}

/// Thai, Lao, Burmese, Khmer, and what is written in China and Japan.
fn writes_no_blanks(letter: char) -> bool {
    matches!(u32::from(letter),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x31f0..=0x31ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, surname: &str) -> Profile {
        Profile { name: name.into(), surname: surname.into(), ..Profile::default() }
    }

    fn finds(query: &str, name: &str) -> bool {
        let (tokens, terms) = (tokens(&person(name, ""), []), terms(query));
        !terms.is_empty() && terms.iter().all(|term| tokens.keys().any(|token| token.starts_with(&**term)))
    }

    #[test]
    fn people_are_found_in_many_scripts_without_accents_and_case() {
        for (query, name) in [
            ("jose", "José"),
            ("JOSÉ", "jose"),
            ("muller", "Müller"),
            ("strasse", "Straße"),
            ("ISTANBUL", "İstanbul"),
            ("lodz", "Łódź"),
            ("soren", "Søren"),
            ("nguyen", "Nguyễn"),
            ("obrien", "O'Brien"),
            ("o’brien", "O'Brien"),
            ("brien", "O'Brien"),
            ("o brien", "O'Brien"),
            ("marie", "Anne-Marie"),
            ("annemarie", "Anne-Marie"),
            ("иванов", "ИВАНОВ"),
            ("йорг", "Йорг"),
            ("γιωργος", "Γιώργος"),
            ("محمد", "مُحَمَّد"),
            ("احمد", "أحمد"),
            ("שלום", "שָׁלוֹם"),
            ("राम", "राम"),
            ("太郎", "電子太郎"),
            ("子太", "電子太郎"),
            ("ชาย", "สมชาย"),
            ("김철", "김철수"),
            ("ａｄａ", "Ada"),
            ("ad lov", "Ada Lovelace"),
        ] {
            assert!(finds(query, name), "{query:?} does not find {name:?}");
        }
        for (query, name) in
            [("ada", "Bob"), ("da", "Ada"), ("adab", "Ada"), ("", "Ada"), ("'-", "Ada"), ("राम", "श्याम")]
        {
            assert!(!finds(query, name), "{query:?} finds {name:?}");
        }
    }

    #[test]
    fn tokens_are_bounded_and_weighed() {
        let long = "あ".repeat(200);
        let tokens = tokens(&person(&long, &"x".repeat(200)), []);
        assert!(tokens.len() <= MOST_TOKENS && tokens.keys().all(|token| token.chars().count() <= MOST_CHARS));
        assert!(finds(&long, &long));
        let address = Address {
            person_id: tenantry_ids::PersonId(uuid::Uuid::nil()),
            email: Some("ada@example.com".into()),
            phone: Some("+4915112345678".into()),
            street: None,
            place_id: None,
            primary: true,
        };
        let tokens = super::tokens(&person("Ada", ""), [&address]);
        assert_eq!((tokens["ada"], tokens["example"]), (NAME, CONTACT));
        assert!(tokens.contains_key("4915112345678") && tokens.contains_key("15112345678"));
        assert!(tokens.contains_key("678") && !tokens.contains_key("78"));
    }

    #[test]
    fn people_sort_by_family_name_without_accents() {
        let mut people = [person("a", "Zoe"), person("b", "Éva"), person("a", "eva"), person("Only", "")];
        people.sort_by_key(name_key);
        let names: Vec<_> = people.iter().map(|person| format!("{} {}", person.surname, person.name)).collect();
        assert_eq!(names, ["eva a", "Éva b", " Only", "Zoe a"]);
        assert_eq!(name_key(&person(&"\u{fdfa}".repeat(200), "")).chars().count(), MOST_KEY_CHARS);
    }
}
