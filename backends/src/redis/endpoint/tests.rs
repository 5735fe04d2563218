//! Which URLs are understood, and how.

use super::*;

fn read(urls: &[&str]) -> Result<Endpoint, BadUrl> {
    read_as(urls, None)
}

fn read_as(urls: &[&str], topology: Option<Topology>) -> Result<Endpoint, BadUrl> {
    let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
    Endpoint::read(&urls, topology, None)
}

#[test]
fn one_server() {
    let endpoint = read(&["redis://ada:s3%40cret@there:7000/5"]).unwrap();
    assert_eq!(endpoint.to_string(), "there:7000");
    let Endpoint::Single(info) = endpoint else { panic!("{endpoint:?}") };
    let settings = info.redis_settings();
    assert_eq!((settings.username(), settings.password()), (Some("ada"), Some("s3@cret")));
    assert_eq!(settings.db(), 5);
    assert!(info.tcp_settings().nodelay());
    assert!(read(&["rediss://[::1]"]).unwrap().to_string().ends_with("6379"));
}

#[test]
fn sentinels_have_their_own_password() {
    let url = "redis+sentinel://ada:one@s1,s2:7001/main/3?sentinel_password=two";
    let endpoint = read(&[url, "redis+sentinel://s3/main"]).unwrap();
    assert_eq!(endpoint.to_string(), "main of s1:26379,s2:7001,s3:26379");
    let Endpoint::Sentinel(of) = endpoint else { panic!("{endpoint:?}") };
    assert_eq!(of.sentinels[0].redis_settings().password(), Some("two"));
    let server = of.server("there".into(), 7002).unwrap();
    assert_eq!(server.addr().to_string(), "there:7002");
    let settings = server.redis_settings();
    assert_eq!((settings.username(), settings.password()), (Some("ada"), Some("one")));
    assert_eq!(settings.db(), 3);
}

#[test]
fn plain_urls_are_sentinels_when_they_are_said_to_be() {
    let urls = ["redis://s1:7001", "redis://s2:7002/"];
    let endpoint = read_as(&urls, Some(Topology::Sentinel)).unwrap();
    assert_eq!(endpoint.to_string(), "mymaster of s1:7001,s2:7002");
    let named = read_as(&["redis://s1:7001/main"], Some(Topology::Sentinel)).unwrap();
    assert_eq!(named.to_string(), "main of s1:7001");
}

#[test]
fn the_nodes_of_a_cluster() {
    let endpoint = read(&["redis+cluster://:one@a:1,b:2", "redis+cluster://c:3"]).unwrap();
    assert_eq!(endpoint.to_string(), "a:1,b:2,c:3");
    let plain = read_as(&["redis://a:1", "redis://b:2"], Some(Topology::Cluster)).unwrap();
    assert_eq!(plain.to_string(), "a:1,b:2");
    assert!(matches!(plain, Endpoint::Cluster(_)));
}

#[test]
fn what_is_wrong_is_said_without_the_url() {
    let many = ["redis://a", "redis://b"];
    let cases = [
        (&[][..], BadUrl::None),
        (&["http://a"][..], BadUrl::Scheme(1)),
        (&["redis+more://a"][..], BadUrl::Scheme(1)),
        (&["redis://a", "nothing"][..], BadUrl::Scheme(2)),
        (&["redis://a:port"][..], BadUrl::Unreadable(1)),
        (&["redis+cluster://a,,b"][..], BadUrl::Unreadable(1)),
        (&["redis+sentinel://a/m", "redis+sentinel://b/n"][..], BadUrl::OtherMaster(2)),
        (&["redis+cluster://a/1"][..], BadUrl::ClusterDatabase(1)),
        (&["redis://a", "redis+cluster://b"][..], BadUrl::Mixed(2)),
        (&many[..], BadUrl::Several),
        (&["redis://a,b"][..], BadUrl::Several),
    ];
    for (urls, due) in cases {
        assert_eq!(read(urls).err(), Some(due), "{urls:?}");
    }
    let secret = read(&["redis://:s3cret@a:port"]).unwrap_err();
    assert!(!secret.to_string().contains("s3cret"));
    let as_sentinel = read_as(&["redis+cluster://a"], Some(Topology::Sentinel));
    assert_eq!(as_sentinel.err(), Some(BadUrl::Mixed(1)));
}
