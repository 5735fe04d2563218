//! Every mistake in a configuration is named; every layer of it counts.

use std::io::Write;

use super::*;

/// A file, variables, the key that is complained of, and a word of the complaint.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

fn with(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(file.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(written.path()), variables)
}

#[test]
fn the_defaults_are_complete_and_sound() {
    let config = load(None, std::iter::empty()).unwrap();
    assert_eq!(config.admission.listen.port(), 8080);
    assert_eq!(
        config.limits.per_ip,
        sluice_core::policy::RateLimit { per_second: 100, burst: 500 }
    );
}

/// A terminal that has the variables of the stores and not the secrets of the processes.
#[test]
fn who_only_asks_needs_no_secrets() {
    let variables =
        [("SLUICE_BACKEND__KIND", "distributed"), ("SLUICE_ADMIN__LISTEN", "127.0.0.1:1")];
    let variables = || variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    assert_eq!(load(None, variables()).unwrap_err().key, "secrets.queue_token_keys");
    assert_eq!(read(None, variables()).unwrap().admin.listen.port(), 1);
}

#[test]
fn the_file_then_the_environment() {
    let file = "[admission]\nlisten = \"127.0.0.1:1\"\nconnections_max = 7\n[limits]\nper_ip = { per_second = 9, burst = 9 }";
    let variables = [
        ("SLUICE_ADMISSION__LISTEN", "127.0.0.1:2"),
        ("SLUICE_LIMITS__PER_IP__BURST", "11"),
        ("SLUICE_HOME", "x"),
    ];
    let config = with(file, &variables).unwrap();
    assert_eq!(config.admission.listen.port(), 2);
    assert_eq!(config.admission.connections_max, 7);
    assert_eq!((config.limits.per_ip.per_second, config.limits.per_ip.burst), (9, 11));
}

#[test]
fn a_variable_may_hold_a_list() {
    let config = with("", &[("SLUICE_ADMISSION__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]")]).unwrap();
    assert_eq!(config.admission.trusted_proxies.len(), 1);
}

#[test]
fn every_mistake_is_named() {
    let token = "x".repeat(31);
    let cases: &[Case<'_>] = &[
        ("[admission]\nlistne = 1", &[], "admission.listne", "unknown field"),
        ("[admission]\nlisten = 8080", &[], "admission.listen", "invalid type"),
        (
            "[admission]\nconnections_max = \"many\"",
            &[],
            "admission.connections_max",
            "invalid type",
        ),
        ("nonsense = 1", &[], "nonsense", "unknown field"),
        (
            "",
            &[("SLUICE_ADMISSION__CONNECTIONS_MAX", "many")],
            "admission.connections_max",
            "invalid type",
        ),
        ("[identity]\nmode = \"header\"", &[], "admission.trusted_proxies", "header"),
        ("[worker]\nmode = \"external\"", &[], "worker.mode", "RabbitMQ"),
        (
            "[worker]\nlink_hosts = [\"a.example\", \"https://b.example\"]",
            &[],
            "worker.link_hosts[1]",
            "host",
        ),
        ("[identity]\nmode = \"jwt\"", &[], "identity.jwt_secret", "jwks"),
        (
            "[identity]\nmode = \"jwt\"\njwks_file = \"/nowhere/keys\"",
            &[],
            "identity.jwks_file",
            "/nowhere/keys cannot be read",
        ),
        (
            "[admin]\ntls_cert = \"/nowhere/cert\"\ntls_key = \"/nowhere/key\"",
            &[],
            "admin.tls_cert",
            "/nowhere/cert cannot be read",
        ),
        (
            "[admin]\ntls_cert = \"/dev/null\"\ntls_key = \"/nowhere/key\"",
            &[],
            "admin.tls_key",
            "/nowhere/key cannot be read",
        ),
        ("[admin]\nlisten = \"0.0.0.0:8081\"", &[], "admin.listen", "insecure"),
        (
            &format!(
                "[admin]\ntokens = [{{ name = \"a\", role = \"admin\", token = \"{token}\" }}]"
            ),
            &[],
            "admin.tokens",
            "32",
        ),
        (
            "[secrets]\nqueue_token_keys = [{ id = \"k\", secret = \"short\" }]",
            &[],
            "secrets.queue_token_keys",
            "32",
        ),
        ("[secrets]\npayment_webhook = [\"nope\"]", &[], "secrets.payment_webhook", "whsec_"),
        ("[limits]\nper_ip = { per_second = 0, burst = 1 }", &[], "limits.per_ip", "1 to"),
        ("[backend]\nkind = \"distributed\"", &[], "secrets.queue_token_keys", "required"),
        ("[[sale]]\nid = \"A\"\nskus = []", &[], "sale[0].id", "a-z"),
        ("[[sale]]\nid = \"a\"\nskus = []", &[], "sale[0].skus", "1 to"),
    ];
    all_are_named(cases);
}

#[test]
fn an_address_that_is_none_is_explained() {
    all_are_named(&[
        ("[admission]\nlisten = \"nowhere\"", &[], "admission.listen", "such as 127.0.0.1:8080"),
        (
            "[admission]\ntrusted_proxies = [\"10.0.0.0/99\"]",
            &[],
            "admission.trusted_proxies[0]",
            "such as 10.0.0.0/8",
        ),
    ]);
}

#[test]
fn a_head_start_without_its_other_half_is_named() {
    all_are_named(&[
        ("[identity]\nclass = \"tier\"", &[], "identity.class", "head_start_seconds"),
        (
            "[identity]\nclass = \"tier\"\nhead_start_seconds = { gold = 9 }",
            &[],
            "identity.class",
            "identity.mode",
        ),
        (
            "[identity]\nmode = \"jwt\"\njwt_secret = \"0123456789abcdef0123456789abcdef\"\nclass = \"tier\"\nhead_start_seconds = { gold = 86401 }",
            &[],
            "identity.head_start_seconds",
            "gold = 86401",
        ),
    ]);
}

#[test]
fn every_mistake_about_money_is_named() {
    all_are_named(&[
        (
            "[payment.simulated]\ndrop = 1.5",
            &[],
            "payment.simulated.drop",
            "0 (never) to 1 (always)",
        ),
        (
            "",
            &[("SLUICE_PAYMENT__SIMULATED__PAY_AFTER_CLOSE", "nan")],
            "payment.simulated.pay_after_close",
            "share",
        ),
        (
            "",
            &[("SLUICE_PAYMENT__SIMULATED__FAIL", "often")],
            "payment.simulated.fail",
            "invalid type",
        ),
        (
            "[payment.simulated]\ndelay_spread_ms = 600001",
            &[],
            "payment.simulated.delay_spread_ms",
            "600000",
        ),
        ("[payment.simulated]\nlate = 1", &[], "payment.simulated.late", "unknown field"),
        ("[fulfilment]\nkind = \"parcel\"", &[], "fulfilment.kind", "unknown variant"),
        ("[fulfilment]\nkind = \"webhook\"", &[], "fulfilment.url", "required"),
        ("[fulfilment]\nurl = \"http://shop.example/\"", &[], "fulfilment.url", "https://"),
        (
            "[fulfilment]\nkind = \"webhook\"\nurl = \"https://shop.example/\"",
            &[],
            "secrets.fulfilment_webhook",
            "required",
        ),
        ("[secrets]\nfulfilment_webhook = [\"nope\"]", &[], "secrets.fulfilment_webhook", "whsec_"),
        (
            "[secrets]\npayment_webhook = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\nfulfilment_webhook = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]",
            &[],
            "secrets.fulfilment_webhook",
            "differ",
        ),
    ]);
}

#[test]
fn every_mistake_about_telling_buyers_is_named() {
    let smtp = |more: &str| {
        format!(
            "[notify]\nchannels = [\"smtp\"]\n[notify.smtp]\nurl = \"smtp://127.0.0.1\"\nfrom = \"a@b.example\"\n{more}"
        )
    };
    with(&smtp("from_name = \"商店\"\nusername = \"a\"\npassword = \"b\""), &[]).unwrap();
    let place = |url: &str| {
        format!(
            "[notify]\nchannels = [\"smtp\"]\n[notify.smtp]\nfrom = \"a@b.example\"\nurl = \"{url}\""
        )
    };
    let nobody = |from: &str| {
        format!(
            "[notify]\nchannels = [\"smtp\"]\n[notify.smtp]\nurl = \"smtp://127.0.0.1\"\nfrom = \"{from}\""
        )
    };
    let nonsense = format!("{}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
    let signing = "[secrets]\nnotify_webhook = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]";
    all_are_named(&[
        ("[notify]\nchannels = [\"pigeon\"]", &[], "notify.channels[0]", "unknown variant"),
        ("[notify]\nchannels = [\"log\", \"smtp\"]", &[], "notify.channels[0]", "last"),
        ("[notify]\nchannels = [\"webhook\", \"webhook\"]", &[], "notify.channels[1]", "once"),
        ("[notify]\nutc_offset = \"CST\"", &[], "notify.utc_offset", "+08:00"),
        ("[notify]\nchannels = [\"webhook\"]", &[], "notify.webhook.url", "required"),
        ("[notify.webhook]\nurl = \"http://shop.example/\"", &[], "notify.webhook.url", "https://"),
        (
            "[notify]\nchannels = [\"webhook\"]\n[notify.webhook]\nurl = \"https://shop.example/\"",
            &[],
            "secrets.notify_webhook",
            "required",
        ),
        ("[secrets]\nnotify_webhook = [\"nope\"]", &[], "secrets.notify_webhook", "whsec_"),
        (
            signing,
            &[("SLUICE_SECRETS__PAYMENT_WEBHOOK", "[\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]")],
            "secrets.notify_webhook",
            "differ",
        ),
        ("[notify]\nchannels = [\"smtp\"]", &[], "notify.smtp.url", "required"),
        (&nobody(""), &[], "notify.smtp.from", "required"),
        (&nobody("The shop"), &[], "notify.smtp.from", "no-reply@"),
        (&nobody("a@b.example\\r\\nBcc: c@d.example"), &[], "notify.smtp.from", "one e-mail"),
        (&place("http://127.0.0.1"), &[], "notify.smtp.url", "smtps://"),
        (&place("smtp://ada:hidden@mail.example"), &[], "notify.smtp.url", "without a user name"),
        (&smtp("from_name = \"a\\nb\""), &[], "notify.smtp.from_name", "one line"),
        (&smtp("username = \"a\""), &[], "notify.smtp.password", "both"),
        (&smtp("ca_file = \"/nowhere/ca\""), &[], "notify.smtp.ca_file", "cannot be read"),
        (&smtp(&format!("ca_file = \"{nonsense}\"")), &[], "notify.smtp.ca_file", "PEM"),
    ]);
}

fn all_are_named(cases: &[Case<'_>]) {
    for (file, variables, key, word) in cases {
        let error = with(file, variables).unwrap_err();
        assert_eq!(error.key, *key, "{error}");
        assert!(error.complaint.contains(word), "{error}");
    }
}

#[test]
fn files_that_hold_the_wrong_thing_are_named() {
    let here = env!("CARGO_MANIFEST_DIR");
    let nonsense = format!("{here}/Cargo.toml");
    let [certificate, key] = ["certificate.pem", "test-only-key.pem"]
        .map(|name| format!("{here}/http/tests/it/tls/{name}"));
    let tls = |certificate: &str, key: &str| {
        format!("[admin]\ntls_cert = \"{certificate}\"\ntls_key = \"{key}\"")
    };
    with(&tls(&certificate, &key), &[]).unwrap();
    let keys = format!("[identity]\nmode = \"jwt\"\njwks_file = \"{nonsense}\"");
    for (file, named, word, fix) in [
        (tls(&nonsense, &key), "admin.tls_cert", &nonsense, "leaf first"),
        (tls(&certificate, &nonsense), "admin.tls_key", &nonsense, "private key"),
        (keys, "identity.jwks_file", &nonsense, "JSON Web Key Set"),
    ] {
        let error = with(&file, &[]).unwrap_err();
        assert_eq!(error.key, named, "{error}");
        assert!(error.complaint.contains(word) && error.complaint.contains(fix), "{error}");
    }
}

#[test]
fn authorities_of_the_stores_are_read_when_the_configuration_is() {
    let here = env!("CARGO_MANIFEST_DIR");
    let file = |store: &str, path: &str| {
        format!(
            "[backend]\nkind = \"distributed\"\n[secrets]\n\
             queue_token_keys = [{{ id = \"k\", secret = \"a-very-long-secret-that-nobody-may-see\" }}]\n\
             payment_webhook = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]\n\
             [{store}]\nca_file = \"{here}/{path}\""
        )
    };
    for store in ["redis", "rabbitmq"] {
        with(&file(store, "http/tests/it/tls/certificate.pem"), &[]).unwrap();
        for (path, fix) in [("Cargo.toml", "BEGIN CERTIFICATE"), ("no-such-file", "cannot be read")]
        {
            let error = with(&file(store, path), &[]).unwrap_err();
            assert_eq!(error.key, format!("{store}.ca_file"), "{error}");
            assert!(error.complaint.contains(fix), "{error}");
        }
    }
}

#[test]
fn a_variable_is_named_as_the_place() {
    let error = with("", &[("SLUICE_ADMISSION__CONNECTIONS_MAX", "many")]).unwrap_err();
    assert_eq!(error.place, "SLUICE_ADMISSION__CONNECTIONS_MAX");
    let error = with("[admission]\nlistne = 1", &[]).unwrap_err();
    assert!(error.place.contains("tmp"), "{error}");
}

#[test]
fn secrets_are_not_shown() {
    let secret = "a-very-long-secret-that-nobody-may-see";
    let signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let telling = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let file = format!(
        "[secrets]\nqueue_token_keys = [{{ id = \"k\", secret = \"{secret}\" }}]\nfulfilment_webhook = [\"{signing}\"]\nnotify_webhook = [\"{telling}\"]\n[notify.smtp]\npassword = \"{secret}\""
    );
    let shown = toml::to_string(&with(&file, &[]).unwrap().masked()).unwrap();
    assert!(!shown.contains(secret) && !shown.contains(signing) && !shown.contains(telling));
    assert!(shown.contains("***"));
}
