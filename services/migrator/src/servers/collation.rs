//! How a server's new databases keep and order text.

use url::Url;

use super::ServerError;

/// The character set and the collation of the databases that are made on a server, from its address:
/// `?charset=utf8mb4&collation=utf8mb4_bin`. By default text is Unicode in the order of its bytes, which is the same on
/// every engine and every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collation {
    pub(crate) charset: String,
    pub(crate) collation: String,
}

impl Collation {
    pub(crate) fn of_postgres() -> Self {
        Self { charset: "UTF8".to_owned(), collation: "C".to_owned() }
    }

    pub(crate) fn of_mysql() -> Self {
        Self { charset: "utf8mb4".to_owned(), collation: "utf8mb4_bin".to_owned() }
    }

    /// Takes both out of an address, whose driver need not know them, and has `otherwise` for what it does not say.
    pub(crate) fn taken_from(url: &str, otherwise: Self) -> Result<(String, Self), ServerError> {
        let mut parsed = Url::parse(url).map_err(|error| ServerError::Config(error.to_string()))?;
        let mut found = otherwise;
        let mut kept = Vec::new();
        for (name, value) in parsed.query_pairs().into_owned() {
            match name.as_str() {
                "charset" => found.charset = checked(value)?,
                "collation" => found.collation = checked(value)?,
                _ => kept.push((name, value)),
            }
        }
        parsed.set_query(None);
        if !kept.is_empty() {
            parsed.query_pairs_mut().extend_pairs(kept);
        }
        Ok((parsed.into(), found))
    }
}

/// They stand in DDL text, between quotes or without.
fn checked(word: String) -> Result<String, ServerError> {
    let fits = (1..=64).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte));
    if fits { Ok(word) } else { Err(ServerError::Config(format!("{word:?} is no name of a charset or a collation"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_text_is_kept_and_the_rest_of_it_stays() {
        let taken = |url: &str| Collation::taken_from(url, Collation::of_postgres());
        let (url, collation) =
            taken("postgres://a:b%20c@h:1/db?sslmode=disable&collation=sv_SE.utf8").expect("an address");
        assert_eq!(url, "postgres://a:b%20c@h:1/db?sslmode=disable");
        assert_eq!(collation, Collation { charset: "UTF8".into(), collation: "sv_SE.utf8".into() });
        let (url, collation) = taken("postgres://h/db").expect("an address");
        assert_eq!((url.as_str(), collation), ("postgres://h/db", Collation::of_postgres()));
        for bad in ["a'b", "", "C; DROP", &"x".repeat(65)] {
            let mut url = Url::parse("postgres://h/db").expect("an address");
            url.query_pairs_mut().append_pair("collation", bad);
            assert!(taken(url.as_str()).is_err(), "{bad:?}");
        }
        assert!(taken("postgres://h/db?charset=UTF8").is_ok());
    }
}
