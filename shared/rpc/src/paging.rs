//! Pages (AIP-158): a size with a limit, and an opaque token that is bound to
//! the list that it continues.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Violations;

/// The page size where the caller names none.
pub const DEFAULT_PAGE_SIZE: u64 = 50;
/// The largest page.
pub const MAX_PAGE_SIZE: u64 = 1_000;

/// The sizes of a list's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSizes {
    /// Where the caller names none.
    pub default: u64,
    /// The largest.
    pub most: u64,
}

/// A wanted page: so many after this id, in the order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub size: u64,
    /// The last id of the page before.
    pub after: Option<Uuid>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    list: String,
    after: Uuid,
}

impl Page {
    /// Reads `page_size` and `page_token` of a list's request; `list` names the
    /// list, so that a token of one is no token of another.
    pub fn parse(violations: &mut Violations, list: &str, page_size: i32, page_token: &str) -> Self {
        let sizes = PageSizes { default: DEFAULT_PAGE_SIZE, most: MAX_PAGE_SIZE };
        Self::parse_sized(violations, list, sizes, page_size, page_token)
    }

    /// The same for a list whose pages have other sizes.
    pub fn parse_sized(
        violations: &mut Violations,
        list: &str,
        sizes: PageSizes,
        page_size: i32,
        page_token: &str,
    ) -> Self {
        let size = size(violations, sizes, page_size);
        let after = match page_token {
            "" => None,
            token => {
                let after = decode(list, token);
                violations.check(after.is_some(), "page_token", "must be a next_page_token of this list");
                after
            }
        };
        Self { size, after }
    }

    /// Cuts `rows`, read with one more than the page holds, and gives the token
    /// of the next page, or none after the last.
    pub fn cut<T>(&self, list: &str, rows: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> String {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return String::new();
        }
        rows.truncate(size);
        rows.last().map(|row| encode(list, id(row))).unwrap_or_default()
    }
}

/// A wanted page of a list in another order: so many after the row of these keys.
#[derive(Debug, Clone)]
pub struct KeyedPage<K> {
    /// How many at most.
    pub size: u64,
    /// What the last row of the page before was sorted by, and its id.
    pub after: Option<(K, Uuid)>,
    list: String,
}

#[derive(Serialize, Deserialize)]
struct KeyedToken<K> {
    list: String,
    after: (K, Uuid),
}

impl<K: Serialize + DeserializeOwned> KeyedPage<K> {
    /// Reads `page_size` and `page_token` of a list's request; `list` names the list with its filters and its order, so
    /// that a token of one is no token of another.
    pub fn parse(violations: &mut Violations, list: String, page_size: i32, page_token: &str) -> Self {
        let sizes = PageSizes { default: DEFAULT_PAGE_SIZE, most: MAX_PAGE_SIZE };
        let size = size(violations, sizes, page_size);
        let decode = |token: &str| {
            let json = URL_SAFE_NO_PAD.decode(token).ok()?;
            let token: KeyedToken<K> = serde_json::from_slice(&json).ok()?;
            (token.list == list).then_some(token.after)
        };
        let after = if page_token.is_empty() { None } else { decode(page_token) };
        let fits = page_token.is_empty() || after.is_some();
        violations.check(fits, "page_token", "must be a next_page_token of this list, with the same filter and order");
        Self { size, after, list }
    }

    /// Cuts `rows`, read with one more than the page holds, and gives the token of the next page, or none after the
    /// last.
    pub fn cut<T>(&self, rows: &mut Vec<T>, key: impl Fn(&T) -> (K, Uuid)) -> String {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return String::new();
        }
        rows.truncate(size);
        let token = rows.last().map(|row| KeyedToken { list: self.list.clone(), after: key(row) });
        token
            .and_then(|token| serde_json::to_vec(&token).ok())
            .map(|json| URL_SAFE_NO_PAD.encode(json))
            .unwrap_or_default()
    }
}

fn size(violations: &mut Violations, sizes: PageSizes, page_size: i32) -> u64 {
    match u64::try_from(page_size) {
        Ok(0) => sizes.default,
        Ok(size) => size.min(sizes.most),
        Err(_) => {
            violations.add("page_size", "must not be negative");
            sizes.default
        }
    }
}

fn encode(list: &str, after: Uuid) -> String {
    let token = Token { list: list.to_owned(), after };
    serde_json::to_vec(&token).map(|json| URL_SAFE_NO_PAD.encode(json)).unwrap_or_default()
}

fn decode(list: &str, token: &str) -> Option<Uuid> {
    let json = URL_SAFE_NO_PAD.decode(token).ok()?;
    let token: Token = serde_json::from_slice(&json).ok()?;
    (token.list == list).then_some(token.after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str, size: i32, token: &str) -> Result<Page, crate::Error> {
        let mut violations = Violations::new();
        let page = Page::parse(&mut violations, list, size, token);
        violations.into_result().map(|()| page)
    }

    #[test]
    fn sizes_are_bounded_at_their_edges() {
        assert_eq!(parse("a", 0, "").expect("page").size, 50);
        assert_eq!(parse("a", 1, "").expect("page").size, 1);
        assert_eq!(parse("a", 1_000, "").expect("page").size, 1_000);
        assert_eq!(parse("a", 1_001, "").expect("page").size, 1_000);
        assert!(parse("a", -1, "").is_err());
    }

    #[test]
    fn a_token_continues_its_own_list_only() {
        let ids: Vec<_> = (1..=3).map(Uuid::from_u128).collect();
        let page = Page { size: 2, after: None };
        let mut rows = ids.clone();
        let token = page.cut("a", &mut rows, |id| *id);
        assert_eq!(rows, ids[..2]);
        assert_eq!(parse("a", 2, &token).expect("page").after, Some(ids[1]));
        assert!(parse("b", 2, &token).is_err());
        assert!(parse("a", 2, "garbage").is_err());
        assert_eq!(page.cut("a", &mut rows, |id| *id), "");
    }

    #[test]
    fn a_keyed_token_keeps_what_the_list_is_sorted_by() {
        let parse = |list: &str, token: &str| {
            let mut violations = Violations::new();
            let page = KeyedPage::<String>::parse(&mut violations, list.to_owned(), 1, token);
            violations.into_result().map(|()| page).ok()
        };
        let page = parse("a", "").expect("a page");
        let mut rows = vec![("x", Uuid::from_u128(1)), ("y", Uuid::from_u128(2))];
        let token = page.cut(&mut rows, |(key, id)| ((*key).to_owned(), *id));
        let next = parse("a", &token).expect("a page");
        assert_eq!(next.after, Some(("x".to_owned(), Uuid::from_u128(1))));
        assert!(parse("b", &token).is_none() && parse("a", "garbage").is_none());
        assert_eq!(page.cut(&mut rows, |(key, id)| ((*key).to_owned(), *id)), "");
    }
}
