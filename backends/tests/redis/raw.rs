//! A plain connection beside the backend's: what an operator, or an accident, does to a server.

use redis::{FromRedisValue, RedisResult};

pub(crate) struct Raw {
    connection: redis::Connection,
}

impl Raw {
    pub(crate) fn to(url: &str) -> Self {
        Self { connection: redis::Client::open(url).unwrap().get_connection().unwrap() }
    }

    /// A command in words.
    pub(crate) fn try_tell<T: FromRedisValue>(&mut self, command: &str) -> RedisResult<T> {
        let mut words = command.split_whitespace();
        let mut asked = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            asked.arg(word);
        });
        asked.query(&mut self.connection)
    }

    pub(crate) fn tell<T: FromRedisValue>(&mut self, command: &str) -> T {
        self.try_tell(command).unwrap()
    }

    /// Puts so many fields into a hash.
    pub(crate) fn fill(&mut self, key: &str, fields: u32) {
        const FILL: &str =
            "for n = ARGV[1], ARGV[2] do redis.call('HSET', KEYS[1], 'filler' .. n, '1') end";
        for first in (1..=fields).step_by(100_000) {
            let mut fill = redis::cmd("EVAL");
            fill.arg(FILL).arg(1).arg(key).arg(first).arg(fields.min(first + 99_999));
            let () = fill.query(&mut self.connection).unwrap();
        }
    }

    /// One word of what the server tells of itself.
    pub(crate) fn info(&mut self, name: &str) -> String {
        let info: String = self.tell("INFO");
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| *known == name).unwrap().1.to_owned()
    }

    /// Makes the backend do what one would that does not compare identities: believe that what lies under this key is
    /// this very server's own.
    pub(crate) fn believe(&mut self, key: &str) {
        let here = format!("5:{}:{}", self.info("run_id"), self.info("master_replid"));
        let _: i64 = self.tell(&format!("HSET {key} .server {here}"));
    }
}
