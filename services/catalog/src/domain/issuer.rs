//! What an issuer of tokens may be called, and where its keys may be. Pure.

use url::{Host, Url};

/// Below an issuer's URL (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Whether http will do, and not only https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    /// To nobody.
    Never,
    /// To this machine itself, for trying things out.
    OnLoopback,
}

/// An issuer's URL. The text is kept as it was given: its tokens have to say the very same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerUrl(Url);

impl IssuerUrl {
    pub(crate) fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, &'static str> {
        // What a parser would mend is not what its tokens say.
        if text.contains(|letter: char| letter == '\\' || letter.is_whitespace() || letter.is_control()) {
            return Err("must have no spaces and no backslashes");
        }
        let url = Url::parse(text).map_err(|_| "must be a URL such as https://id.example.com")?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must have no query and no fragment");
        }
        check(&url, plain_http)?;
        Ok(Self(url))
    }

    /// Where it says what it has.
    pub(crate) fn discovery(&self) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{DISCOVERY}", self.0.path().trim_end_matches('/')));
        url
    }

    /// Where it says that its keys are: on its own host and port, or on a registered one.
    pub(crate) fn key_set(&self, text: &str, hosts: &[String], plain_http: PlainHttp) -> Result<Url, &'static str> {
        let url = Url::parse(text).map_err(|_| "its jwks_uri is no URL")?;
        check(&url, plain_http)?;
        let is_own = url.host() == self.0.host() && url.port_or_known_default() == self.0.port_or_known_default();
        let is_registered = hosts.iter().any(|host| KeyHost::parse(host).is_some_and(|host| host.is_of(&url)));
        if is_own || is_registered { Ok(url) } else { Err("its keys are on a host that is not registered") }
    }
}

fn check(url: &Url, plain_http: PlainHttp) -> Result<(), &'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user and no password");
    }
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("must name a host"),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback && plain_http == PlainHttp::OnLoopback => Ok(()),
        _ => Err("must be https"),
    }
}

/// `host` or `host:port`.
pub(crate) struct KeyHost(Url);

impl KeyHost {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(&format!("https://{text}")).ok()?;
        // Nothing but a host and a port, whatever else a URL might make of it.
        let is_bare = url.path() == "/" && !text.contains(['/', '?', '#', '@', '\\']);
        (is_bare && url.host().is_some()).then_some(Self(url))
    }

    fn is_of(&self, url: &Url) -> bool {
        let port = |url: &Url| url.port().unwrap_or(443);
        self.0.host() == url.host() && port(&self.0) == port(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<IssuerUrl, &'static str> {
        IssuerUrl::parse(text, PlainHttp::Never)
    }

    #[test]
    fn an_issuer_is_an_https_url_and_nothing_more() {
        for good in ["https://id.example", "https://id.example/", "https://id.example:8443/realms/a", "https://[::1]/"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            "id.example",
            "http://id.example",
            "http://127.0.0.1:1",
            "ftp://id.example",
            "https://",
            "file:///etc/passwd",
            "https://id.example?a",
            "https://id.example#a",
            "https://u@id.example",
            "https://u:p@id.example",
            "data:text/plain,x",
            "https://id.example\\@evil.example@x",
        ];
        for bad in bad {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for (text, holds) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://127.0.0.1.example", false),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(IssuerUrl::parse(text, PlainHttp::OnLoopback).is_ok(), holds, "{text}");
        }
    }

    #[test]
    fn discovery_is_below_the_issuer() {
        let of = |text: &str| parse(text).expect("a URL").discovery().to_string();
        assert_eq!(of("https://a.example"), "https://a.example/.well-known/openid-configuration");
        assert_eq!(of("https://a.example/"), "https://a.example/.well-known/openid-configuration");
        assert_eq!(of("https://a.example/r/x/"), "https://a.example/r/x/.well-known/openid-configuration");
    }

    #[test]
    fn keys_are_on_the_issuers_own_host_or_a_registered_one() {
        let issuer = parse("https://id.example/r").expect("a URL");
        let hosts = ["keys.example".to_owned(), "other.example:8443".to_owned()];
        let at = |text: &str| issuer.key_set(text, &hosts, PlainHttp::Never).is_ok();
        for good in [
            "https://id.example/jwks",
            "https://id.example:443/x?y",
            "https://KEYS.example/a",
            "https://other.example:8443/",
        ] {
            assert!(at(good), "{good}");
        }
        let bad = [
            "http://id.example/jwks",
            "https://id.example:444/jwks",
            "https://keys.example:8443/",
            "https://other.example/",
            "https://id.example.evil/",
            "https://evil/?id.example",
            "https://id.example@evil/",
            "https://169.254.169.254/",
            "",
        ];
        for bad in bad {
            assert!(!at(bad), "{bad}");
        }
    }

    #[test]
    fn a_key_host_is_a_host_with_or_without_a_port() {
        for good in ["a.example", "a.example:8443", "127.0.0.1:1", "[::1]:1"] {
            assert!(KeyHost::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a/b", "a?b", "u@a", "a:port", "https://a", "a b", "a\\b", "a:443/", "#"] {
            assert!(KeyHost::parse(bad).is_none(), "{bad}");
        }
    }
}
