use std::str::FromStr;
use std::time::Duration;

use url::Url;

/// How long a hook may take unless told otherwise, in milliseconds.
const DEFAULT_TIMEOUT_MS: u64 = 10_000;
/// The longest that a hook may be given, in milliseconds.
const MAX_TIMEOUT_MS: u64 = 60_000;
const MAX_NAME_BYTES: usize = 32;

/// A lifecycle hook of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookConfig {
    /// Its name: of its steps, and the audience of the tokens that it is sent.
    pub name: String,
    /// How it is called; `None` where it is retired, so that steps that wait for it end without it.
    pub calls: Option<HookCalls>,
}

/// How a hook is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCalls {
    /// Where it listens.
    pub address: String,
    /// Whether companies wait for it.
    pub is_blocking: bool,
    /// How long one call may take.
    pub timeout: Duration,
    /// After how many attempts it has failed; `None` is never.
    pub max_attempts: Option<u32>,
}

impl FromStr for HookConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, calls) = text.split_once('=').ok_or("write it as name=http://host:port or name=retired")?;
        let fits = name.len() <= MAX_NAME_BYTES
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            return Err(format!(
                "{name:?} is no hook's name: a small letter, then small letters, digits and '-', {MAX_NAME_BYTES} at most"
            ));
        }
        let calls = if calls == "retired" { None } else { Some(calls.parse()?) };
        Ok(Self { name: name.to_owned(), calls })
    }
}

impl FromStr for HookCalls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| format!("{text:?} is no address: {error}"))?;
        if !["http", "https"].contains(&url.scheme())
            || url.host_str().is_none_or(str::is_empty)
            || !url.username().is_empty()
        {
            return Err(format!("{text:?} is no address: write it as http://host:port or https://host:port"));
        }
        let mut calls = Self {
            address: String::new(),
            is_blocking: true,
            timeout: Duration::from_millis(DEFAULT_TIMEOUT_MS),
            max_attempts: None,
        };
        for (key, value) in url.query_pairs() {
            let wrong = |wanted: &str| format!("{key}={value}: it is to be {wanted}");
            match key.as_ref() {
                "blocking" => calls.is_blocking = value.parse().map_err(|_| wrong("true or false"))?,
                "timeout_ms" => {
                    let wanted = format!("1 to {MAX_TIMEOUT_MS}");
                    let given = value.parse().ok().filter(|ms| (1..=MAX_TIMEOUT_MS).contains(ms));
                    calls.timeout = Duration::from_millis(given.ok_or_else(|| wrong(&wanted))?);
                }
                "max_attempts" => {
                    let given = value.parse().ok().filter(|attempts| *attempts >= 1);
                    calls.max_attempts = Some(given.ok_or_else(|| wrong("a number from 1 on"))?);
                }
                _ => return Err(format!("{key}: a hook has blocking, timeout_ms and max_attempts")),
            }
        }
        url.set_query(None);
        calls.address = url.into();
        Ok(calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_blocks_for_ten_seconds_unless_told_otherwise() {
        let calls = HookCalls {
            address: "http://127.0.0.1:7100/".to_owned(),
            is_blocking: true,
            timeout: Duration::from_secs(10),
            max_attempts: None,
        };
        let hook = |calls| Ok(HookConfig { name: "storage".to_owned(), calls });
        assert_eq!("storage=http://127.0.0.1:7100".parse(), hook(Some(calls.clone())));
        let told =
            HookCalls { is_blocking: false, timeout: Duration::from_millis(60_000), max_attempts: Some(1), ..calls };
        let text = "storage=http://127.0.0.1:7100?blocking=false&timeout_ms=60000&max_attempts=1";
        assert_eq!(text.parse(), hook(Some(told)));
        assert_eq!("storage=retired".parse(), hook(None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for wrong in [
            "storage",
            "=http://h:1",
            "Storage=http://h:1",
            "1=http://h:1",
            "a:b=http://h:1",
            "storage=",
            "storage=unix:/x",
            "storage=https://",
            "storage=http://user@h:1",
            "storage=http://h:1?timeout_ms=0",
            "storage=http://h:1?timeout_ms=60001",
            "storage=http://h:1?max_attempts=0",
            "storage=http://h:1?blocking=maybe",
            "storage=http://h:1?colour=red",
            &format!("{}=http://h:1", "a".repeat(MAX_NAME_BYTES + 1)),
        ] {
            assert!(wrong.parse::<HookConfig>().is_err(), "{wrong}");
        }
        assert!(format!("{}=http://h:1", "a".repeat(MAX_NAME_BYTES)).parse::<HookConfig>().is_ok());
    }
}
