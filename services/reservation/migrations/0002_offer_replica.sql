CREATE TABLE offer_replica (
    offer_id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    offer BYTEA NOT NULL
)
