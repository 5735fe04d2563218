-- Keys that are no longer compared, for whoever looks into an old complaint.
CREATE TABLE idempotency_archive (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    body bytea NOT NULL CHECK (length(body) = 32),
    at bigint NOT NULL,
    archived_at bigint NOT NULL
);

CREATE INDEX idempotency_archive_age ON idempotency_archive (archived_at);

-- What one process at a time does for a sale.
CREATE TABLE duty (
    sale text COLLATE "C" NOT NULL,
    duty text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (sale, duty)
);

-- What the last reconciliation of a sale found.
CREATE TABLE reconciliation (
    sale text COLLATE "C" PRIMARY KEY,
    body json NOT NULL
);
