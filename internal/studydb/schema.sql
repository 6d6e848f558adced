-- The schema of study.db, version 1. docs/study-db.md explains it.
-- Times are UTC, as 2026-01-02T15:04:05.678Z.

CREATE TABLE study (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL,
  config TEXT NOT NULL,
  seed INTEGER NOT NULL,
  version TEXT NOT NULL,
  created TEXT NOT NULL
);

CREATE TABLE files (
  name TEXT PRIMARY KEY,
  data BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE trials (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  architecture TEXT NOT NULL,
  genome BLOB NOT NULL,
  generation INTEGER NOT NULL,
  parents TEXT NOT NULL,
  operator TEXT NOT NULL,
  costs TEXT,
  predicted_accuracy REAL,
  predicted_sd REAL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  worker TEXT NOT NULL DEFAULT '',
  queued TEXT NOT NULL,
  started TEXT,
  finished TEXT,
  accuracy REAL CHECK (accuracy BETWEEN 0 AND 1),
  metrics TEXT,
  objectives TEXT,
  violation REAL NOT NULL DEFAULT 0 CHECK (violation >= 0),
  error TEXT NOT NULL DEFAULT '',
  seconds REAL NOT NULL DEFAULT 0,
  stderr TEXT NOT NULL DEFAULT '',
  CHECK ((predicted_accuracy IS NULL) = (predicted_sd IS NULL)),
  CHECK (state != 'done' OR accuracy IS NOT NULL),
  CHECK (state != 'failed' OR error != '')
);

CREATE INDEX trials_by_state ON trials (state);

CREATE TABLE epochs (
  trial INTEGER NOT NULL REFERENCES trials (id),
  attempt INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  accuracy REAL NOT NULL,
  PRIMARY KEY (trial, attempt, epoch)
) WITHOUT ROWID;

CREATE TABLE other_results (
  trial INTEGER NOT NULL REFERENCES trials (id),
  attempt INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('retried', 'late')),
  received TEXT NOT NULL,
  result TEXT NOT NULL,
  UNIQUE (trial, attempt, kind, result)
);

CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  evaluations INTEGER NOT NULL,
  data BLOB NOT NULL,
  ended TEXT NOT NULL,
  saved TEXT NOT NULL
);

CREATE TABLE generations (
  evaluations INTEGER PRIMARY KEY,
  hypervolume REAL NOT NULL,
  front INTEGER NOT NULL,
  best_accuracy REAL NOT NULL,
  seconds REAL NOT NULL
);

CREATE TABLE archive (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  genome BLOB NOT NULL,
  objectives TEXT NOT NULL,
  extra TEXT
);
