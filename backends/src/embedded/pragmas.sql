-- Set on every opening; `synchronous` is set beside them.
PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;
-- Small checkpoints: large ones were measured to be slower and to stall commits for longer.
PRAGMA wal_autocheckpoint = 4000;
PRAGMA cache_size = -65536;
-- A log that has grown beyond this, in bytes, is cut back when it begins anew.
PRAGMA journal_size_limit = 67108864;
