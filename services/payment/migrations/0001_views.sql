CREATE TABLE payment_list (
    payment_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, created_at BIGINT NOT NULL);

CREATE INDEX payment_list_newest ON payment_list (created_at, payment_id);

CREATE INDEX payment_list_customer ON payment_list (customer_id, created_at, payment_id);

CREATE TABLE ledger (
    payment_id TEXT NOT NULL, entry BIGINT NOT NULL, kind TEXT NOT NULL, account TEXT NOT NULL,
    currency TEXT NOT NULL, minor BIGINT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (payment_id, entry));
