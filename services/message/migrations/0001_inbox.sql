CREATE TABLE inbox (
    message_id TEXT PRIMARY KEY, recipient_id TEXT NOT NULL, reservation_id TEXT NOT NULL, unread BIGINT NOT NULL,
    created_at BIGINT NOT NULL);
CREATE INDEX inbox_recipient ON inbox (recipient_id, created_at, message_id);
CREATE INDEX inbox_reservation ON inbox (reservation_id, recipient_id, created_at, message_id);
CREATE TABLE address (member_id TEXT PRIMARY KEY, email TEXT NOT NULL, version BIGINT NOT NULL);
