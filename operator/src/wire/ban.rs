//! A ban as operators send it: exactly one of a buyer, a range of addresses, or a header.

use std::net::IpAddr;

use http::{HeaderName, header};
use ipnet::IpNet;
use serde::Deserialize;
use sluice_core::{ids::BuyerId, policy::OutOfRange, ports::BanRule};
use sluice_http::Problem;

use super::present;

/// Longest value of a banned header, in bytes.
const VALUE_BYTES_MAX: usize = 512;

/// The body of `POST /v1/bans`, and of `DELETE /v1/bans`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BanBody {
    #[serde(default, deserialize_with = "present")]
    buyer: Option<BuyerId>,
    #[serde(default, deserialize_with = "present")]
    cidr: Option<String>,
    #[serde(default, deserialize_with = "present")]
    header: Option<HeaderBody>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderBody {
    name: String,
    value: String,
}

impl BanBody {
    pub(crate) fn rule(&self) -> Result<BanRule, Problem> {
        match (&self.buyer, &self.cidr, &self.header) {
            (Some(buyer), None, None) => Ok(BanRule::Buyer(buyer.clone())),
            (None, Some(cidr), None) => cidr_rule(cidr),
            (None, None, Some(header)) => header_rule(header),
            _ => Err(Problem::bad_request("Name exactly one of `buyer`, `cidr` and `header`.")),
        }
    }
}

/// `192.0.2.0/24`, or one address. Bits beyond the prefix are dropped, so that one range has one rule.
fn cidr_rule(text: &str) -> Result<BanRule, Problem> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match net {
        Ok(net) => Ok(BanRule::Cidr(net.trunc())),
        Err(_) => Err(Problem::bad_request(
            "`cidr` must be an address or a range of addresses, such as `192.0.2.7` or `192.0.2.0/24`.",
        )
        .field("cidr")),
    }
}

fn header_rule(body: &HeaderBody) -> Result<BanRule, Problem> {
    let Ok(name) = body.name.parse::<HeaderName>() else {
        return Err(Problem::bad_request(
            "`header.name` must be the name of a header, such as `user-agent`.",
        )
        .field("header.name"));
    };
    if [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE].contains(&name) {
        let rule =
            "must not be a header that carries credentials: a ban is kept and shown in clear";
        return Err(Problem::out_of_range(&OutOfRange::new("header.name", rule)));
    }
    let value = body.value.trim();
    let sendable = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if !(1..=VALUE_BYTES_MAX).contains(&value.len()) || !sendable {
        let rule = format!("must be 1 to {VALUE_BYTES_MAX} visible ASCII characters");
        return Err(Problem::out_of_range(&OutOfRange::new("header.value", rule)));
    }
    Ok(BanRule::Header { name: name.as_str().to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> Result<BanRule, Problem> {
        serde_json::from_str::<BanBody>(json).unwrap().rule()
    }

    #[test]
    fn each_kind_of_ban_is_brought_to_one_form() {
        let net = |text: &str| BanRule::Cidr(text.parse().unwrap());
        assert_eq!(rule(r#"{"cidr":"192.0.2.9/24"}"#).unwrap(), net("192.0.2.0/24"));
        assert_eq!(rule(r#"{"cidr":"2001:db8::1"}"#).unwrap(), net("2001:db8::1/128"));
        assert_eq!(
            rule(r#"{"header":{"name":"User-Agent","value":" curl "}}"#).unwrap(),
            BanRule::Header { name: "user-agent".into(), value: "curl".into() }
        );
        assert_eq!(
            rule(r#"{"buyer":"ada"}"#).unwrap(),
            BanRule::Buyer(BuyerId::new("ada").unwrap())
        );
    }

    #[test]
    fn what_is_not_one_ban_is_refused() {
        for (json, code) in [
            (r"{}", "bad_request"),
            (r#"{"buyer":"a","cidr":"192.0.2.0/24"}"#, "bad_request"),
            (r#"{"cidr":"192.0.2.0/33"}"#, "bad_request"),
            (r#"{"header":{"name":"a b","value":"x"}}"#, "bad_request"),
            (r#"{"header":{"name":"Cookie","value":"x"}}"#, "out_of_range"),
            (r#"{"header":{"name":"x","value":""}}"#, "out_of_range"),
        ] {
            assert_eq!(rule(json).unwrap_err().code(), code, "{json}");
        }
        assert!(serde_json::from_str::<BanBody>(r#"{"buyer":null}"#).is_err());
    }
}
