CREATE TABLE room_listing (
    room_id TEXT PRIMARY KEY, host_id TEXT NOT NULL, created_at BIGINT NOT NULL);

CREATE INDEX room_listing_newest ON room_listing (created_at, room_id);

CREATE INDEX room_listing_host ON room_listing (host_id, created_at, room_id);

CREATE TABLE review_listing (
    reservation_id TEXT PRIMARY KEY, room_id TEXT NOT NULL, created_at BIGINT NOT NULL);

CREATE INDEX review_listing_room ON review_listing (room_id, created_at, reservation_id);
