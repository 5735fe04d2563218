//! A buyer known by a signed cookie alone: one browser, one buyer. A cookie that is missing or not ours makes a new one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sluice_core::{
    ids::BuyerId,
    random::Random,
    token::{Keyring, Purpose},
};

use sluice_http::Problem;

use super::Identified;
use crate::config::Cookies;

/// Tells our own ids from those a shop brings.
const PREFIX: &str = "anon-";
/// Room for a name.
const NAME_ROOM: usize = 32;

pub(super) fn identify(
    cookie: Option<&str>,
    cookies: Cookies,
    keyring: &Keyring,
    random: &Random,
) -> Result<Identified, Problem> {
    if let Some(buyer) = cookie.and_then(|cookie| read(cookie, keyring)) {
        return Ok(Identified::plain(buyer, None));
    }
    let mut name = String::with_capacity(NAME_ROOM);
    name.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(random.bytes(), &mut name);
    let cookie = cookies.set_long(cookies.buyer(), &keyring.sign(Purpose::Buyer, name.as_bytes()));
    // A name of ours is always a legal id.
    let buyer = BuyerId::new(&name).map_err(|_| Problem::internal())?;
    Ok(Identified::plain(buyer, Some(cookie)))
}

fn read(cookie: &str, keyring: &Keyring) -> Option<BuyerId> {
    let payload = keyring.verify(Purpose::Buyer, cookie).ok()?;
    BuyerId::new(std::str::from_utf8(&payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use sluice_core::token::Key;

    use super::*;

    fn ring(secret: char) -> Keyring {
        Keyring::new(&[Key { id: "k".into(), secret: String::from(secret).repeat(32) }]).unwrap()
    }

    fn value(identified: &Identified) -> String {
        let cookie = identified.cookie.as_ref().unwrap().to_str().unwrap();
        cookie.split_once('=').unwrap().1.split_once(';').unwrap().0.to_owned()
    }

    #[test]
    fn a_cookie_is_recognised_and_a_forged_one_makes_a_stranger() {
        let (ours, random) = (ring('a'), Random::seeded(1));
        let first = identify(None, Cookies::Plain, &ours, &random).unwrap();
        let again = identify(Some(&value(&first)), Cookies::Plain, &ours, &random).unwrap();
        assert_eq!((again.buyer.clone(), again.is_new()), (first.buyer.clone(), false));
        let forged = value(&identify(None, Cookies::Plain, &ring('b'), &random).unwrap());
        for cookie in [forged.as_str(), "", "x", &"x".repeat(10_000)] {
            let stranger = identify(Some(cookie), Cookies::Plain, &ours, &random).unwrap();
            assert!(stranger.is_new() && stranger.buyer != first.buyer, "{cookie:.20}");
        }
    }

    #[test]
    fn a_device_cookie_is_not_an_identity() {
        let ring = ring('a');
        let device = ring.sign(Purpose::Device, b"anon-x");
        assert!(
            identify(Some(&device), Cookies::Plain, &ring, &Random::seeded(1)).unwrap().is_new()
        );
    }
}
