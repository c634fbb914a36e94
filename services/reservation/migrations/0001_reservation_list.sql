CREATE TABLE reservation_list (
    reservation_id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    host_id TEXT NOT NULL,
    offer_id TEXT NOT NULL,
    status BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX reservation_list_customer ON reservation_list (customer_id, created_at, reservation_id);
CREATE INDEX reservation_list_host ON reservation_list (host_id, created_at, reservation_id);
CREATE INDEX reservation_list_created ON reservation_list (created_at, reservation_id)
