//! What a server tells of itself, and whether it can keep the ports' promises.

use super::fault::OpenError;

/// The oldest server whose commands the scripts use.
const VERSION_MIN: (u32, u32) = (6, 2);

/// A server's `INFO`, as far as it matters.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) run_id: String,
    role: String,
    loading: String,
    policy: String,
    pub(super) cluster_enabled: String,
}

impl Server {
    pub(super) fn read(info: &str) -> Self {
        let word = |name: &str| {
            let lines = info.lines().filter_map(|line| line.split_once(':'));
            let mut found =
                lines.filter(|(known, _)| *known == name).map(|(_, value)| value.trim());
            found.next().unwrap_or_default().to_owned()
        };
        Self {
            version: word("redis_version"),
            run_id: word("run_id"),
            role: word("role"),
            loading: word("loading"),
            policy: word("maxmemory_policy"),
            cluster_enabled: word("cluster_enabled"),
        }
    }

    /// Whether this server can be used. What it does not tell is believed.
    pub(super) fn check(&self, address: &str) -> Result<(), OpenError> {
        let address = address.to_owned();
        if self.is_too_old() {
            let found = self.version.clone();
            return Err(OpenError::WrongVersion { address, found });
        }
        if self.loading == "1" {
            return Err(OpenError::Loading { address });
        }
        if !matches!(&*self.role, "" | "master") {
            return Err(OpenError::Replica { address });
        }
        if !matches!(&*self.policy, "" | "noeviction") {
            let policy = self.policy.clone();
            return Err(OpenError::Evicting { address, policy });
        }
        Ok(())
    }

    fn is_too_old(&self) -> bool {
        let mut numbers = self.version.split('.').map_while(|part| part.parse::<u32>().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), minor) => (major, minor.unwrap_or(0)) < VERSION_MIN,
            (None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:ab12\r\n\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n\
        # Persistence\r\nloading:0\r\n# Replication\r\nrole:master\r\n# Cluster\r\ncluster_enabled:0\r\n";

    fn checked(from: &str, to: &str) -> Result<(), OpenError> {
        Server::read(&INFO.replace(from, to)).check("there:1")
    }

    #[test]
    fn a_sound_server_is_taken() {
        assert_eq!(Server::read(INFO).run_id, "ab12");
        checked("", "").unwrap();
        checked("7.0.15", "6.2.0").unwrap();
        checked("7.0.15", "10.1").unwrap();
    }

    #[test]
    fn an_unfit_server_is_named_with_its_fault() {
        for version in ["6.0.16", "5.0.7", "6.1"] {
            let error = checked("7.0.15", version).unwrap_err();
            assert!(matches!(error, OpenError::WrongVersion { .. }), "{version}");
        }
        let evicting = checked("noeviction", "allkeys-lru").unwrap_err();
        assert!(evicting.to_string().contains("there:1"), "{evicting}");
        assert!(evicting.to_string().contains("allkeys-lru"), "{evicting}");
        assert!(matches!(checked("role:master", "role:slave"), Err(OpenError::Replica { .. })));
        assert!(matches!(checked("loading:0", "loading:1"), Err(OpenError::Loading { .. })));
    }
}
