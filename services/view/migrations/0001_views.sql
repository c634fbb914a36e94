CREATE TABLE view_generation (id BIGINT PRIMARY KEY, live BIGINT NOT NULL, building BIGINT NOT NULL);
INSERT INTO view_generation (id, live, building) VALUES (1, 1, 1);
CREATE TABLE room_view (
    generation BIGINT NOT NULL, room_id TEXT NOT NULL,
    host_id TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '',
    unit BIGINT NOT NULL DEFAULT 0, currency TEXT NOT NULL DEFAULT '', price BIGINT NOT NULL DEFAULT 0,
    room_status BIGINT NOT NULL DEFAULT 0, review_count BIGINT NOT NULL DEFAULT 0, rating_sum BIGINT NOT NULL DEFAULT 0,
    reservation_id TEXT NOT NULL DEFAULT '', customer_id TEXT NOT NULL DEFAULT '',
    reservation_created_at BIGINT NOT NULL DEFAULT 0, reservation_status BIGINT NOT NULL DEFAULT 0,
    payment_status BIGINT NOT NULL DEFAULT 0, reservation_count BIGINT NOT NULL DEFAULT 0,
    room_at BIGINT NOT NULL DEFAULT 0, reservation_at BIGINT NOT NULL DEFAULT 0, payment_at BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (generation, room_id));
CREATE INDEX room_view_title ON room_view (generation, title, room_id);
CREATE INDEX room_view_price ON room_view (generation, price, room_id);
CREATE INDEX room_view_updated ON room_view (generation, updated_at, room_id);
CREATE INDEX room_view_host ON room_view (generation, host_id, title, room_id);
CREATE TABLE review (
    generation BIGINT NOT NULL, reservation_id TEXT NOT NULL, room_id TEXT NOT NULL, rating BIGINT NOT NULL,
    changed_at BIGINT NOT NULL, PRIMARY KEY (generation, reservation_id));
CREATE TABLE reservation (
    generation BIGINT NOT NULL, reservation_id TEXT NOT NULL, customer_id TEXT NOT NULL, offer_id TEXT NOT NULL,
    title TEXT NOT NULL, period BYTEA NOT NULL, currency TEXT NOT NULL, price BIGINT NOT NULL, status BIGINT NOT NULL,
    reason TEXT NOT NULL, created_at BIGINT NOT NULL, changed_at BIGINT NOT NULL,
    PRIMARY KEY (generation, reservation_id));
CREATE INDEX reservation_customer ON reservation (generation, customer_id, created_at, reservation_id);
CREATE TABLE payment (
    generation BIGINT NOT NULL, reservation_id TEXT NOT NULL, status BIGINT NOT NULL, currency TEXT NOT NULL,
    refund BIGINT NOT NULL, changed_at BIGINT NOT NULL, PRIMARY KEY (generation, reservation_id));
CREATE TABLE notified (
    generation BIGINT NOT NULL, reservation_id TEXT NOT NULL, recipient_id TEXT NOT NULL, times BIGINT NOT NULL,
    changed_at BIGINT NOT NULL, PRIMARY KEY (generation, reservation_id, recipient_id));
