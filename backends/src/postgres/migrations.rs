//! Brings the schema up to date. Processes that start at once wait for each other at an advisory lock; whoever comes second
//! finds nothing to do. A schema that a newer program made, or that is not the one we made, is left alone.

use std::{borrow::Cow, time::Duration};

use sqlx::{
    Connection, PgConnection, SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};
use tokio::time::timeout;

use super::{
    fault::StoreError,
    open::{OpenError, first_connection},
    options::{PostgresOptions, Server},
};

/// Every migration, in order. One that was released is never changed.
const MIGRATIONS: [(i64, &str, &str); 12] = [
    (1, "ledger", include_str!("migrations/0001_ledger.sql")),
    (2, "movements in order", include_str!("migrations/0002_movements_in_order.sql")),
    (3, "numbers given out", include_str!("migrations/0003_numbers_given_out.sql")),
    (4, "shop", include_str!("migrations/0004_shop.sql")),
    (5, "simulated refunds", include_str!("migrations/0005_simulated_refunds.sql")),
    (6, "upkeep", include_str!("migrations/0006_upkeep.sql")),
    (7, "after sales", include_str!("migrations/0007_after_sales.sql")),
    (8, "seats", include_str!("migrations/0008_seats.sql")),
    (9, "standby", include_str!("migrations/0009_standby.sql")),
    (10, "moves", include_str!("migrations/0010_moves.sql")),
    (11, "head starts", include_str!("migrations/0011_head_starts.sql")),
    (12, "orders in one row", include_str!("migrations/0012_orders_in_one_row.sql")),
];
/// Where it is written down what was applied. A name of our own: the database may be shared with another program.
const TABLE: &str = "sluice_migration";
/// How long to wait for the server's goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// The schema is up to date.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Migrated {
    /// The version it has now.
    pub version: i64,
}

/// Brings the schema up to date, and nothing else: for `sluice migrate`.
pub async fn migrate(options: PostgresOptions) -> Result<Migrated, OpenError> {
    let server = options.server()?;
    let connection = first_connection(&server, &options).await?;
    run(connection, &server, &options).await?;
    Ok(Migrated { version: newest() })
}

/// Migrates on this connection, and closes it: its end frees the lock, however the migration ended.
pub(super) async fn run(
    mut connection: PgConnection,
    server: &Server,
    options: &PostgresOptions,
) -> Result<(), OpenError> {
    let most = options.migration_timeout;
    let place = server.place.to_string();
    let migrator = migrator();
    let Ok(ran) = timeout(most, migrator.run_direct(None, &mut connection, false)).await else {
        return Err(OpenError::MigrationLate { place, waited: most });
    };
    drop(timeout(FAREWELL, connection.close()).await);
    ran.map_err(|error| told(place, error))
}

fn newest() -> i64 {
    MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or_default()
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        let sql = SqlStr::from_static(sql);
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.to_vec());
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

fn told(place: String, error: MigrateError) -> OpenError {
    if let MigrateError::VersionMissing(version)
    | MigrateError::VersionMismatch(version)
    | MigrateError::Dirty(version) = error
    {
        let known = newest();
        return if version > known {
            OpenError::Newer { place, found: version, known }
        } else {
            OpenError::Changed { place, version }
        };
    }
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        return OpenError::Migration { place, source: Box::new(StoreError::from(error)) };
    }
    OpenError::Migration { place, source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_upwards() {
        assert!(MIGRATIONS.is_sorted_by(|(one, ..), (next, ..)| one < next));
        assert_eq!(migrator().iter().count(), MIGRATIONS.len());
    }
}
