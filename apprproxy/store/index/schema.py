"""The tables of the index, by format: what an older one lacks is added, a newer one is refused.

- What is counted is counted by triggers: no statement can add or remove a blob and forget the totals.
- What is known of a blob goes with the blob, likewise; ADR 14 says what bounds each table.
"""

import sqlite3

from apprproxy.core.errors import StoreFailed

EVICTABLE = "SELECT coalesce(sum(size), 0) FROM blobs INDEXED BY blobs_by_use WHERE pinned = 0"
"""As its index counts it, which is to be what the totals say."""

_FIRST = """
CREATE TABLE totals (
    one INTEGER PRIMARY KEY CHECK (one = 1), blobs INTEGER NOT NULL, held INTEGER NOT NULL, pinned INTEGER NOT NULL,
    reserved INTEGER NOT NULL, scanned TEXT NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0, 0, '');

CREATE TABLE blobs (
    key TEXT PRIMARY KEY, size INTEGER NOT NULL, used REAL NOT NULL, pinned INTEGER NOT NULL DEFAULT 0, unpacked TEXT
) WITHOUT ROWID;
CREATE INDEX blobs_by_use ON blobs (used, key, size, unpacked) WHERE pinned = 0;
CREATE INDEX blobs_by_tar ON blobs (unpacked) WHERE unpacked IS NOT NULL;

CREATE TABLE parts (part TEXT PRIMARY KEY, size INTEGER NOT NULL, at REAL NOT NULL, key TEXT) WITHOUT ROWID;

CREATE TABLE members (
    key TEXT NOT NULL, upstream TEXT NOT NULL, repository TEXT NOT NULL, source TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (key, upstream, repository)
) WITHOUT ROWID;

CREATE TABLE links (child TEXT NOT NULL, parent TEXT NOT NULL, size INTEGER, PRIMARY KEY (child, parent)) WITHOUT ROWID;
CREATE INDEX links_by_parent ON links (parent);

CREATE TABLE loose (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE);

CREATE TABLE pins (name TEXT PRIMARY KEY, root TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pinned (key TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (key, name)) WITHOUT ROWID;
CREATE INDEX pinned_by_name ON pinned (name);

CREATE TRIGGER blob_came AFTER INSERT ON blobs BEGIN
    UPDATE totals SET blobs = blobs + 1, held = held + new.size, pinned = pinned + new.size * new.pinned;
    DELETE FROM loose WHERE key IN (new.key, new.unpacked);
END;
CREATE TRIGGER blob_changed AFTER UPDATE OF size, pinned, unpacked ON blobs BEGIN
    UPDATE totals SET held = held + new.size - old.size,
        pinned = pinned + new.size * new.pinned - old.size * old.pinned;
    DELETE FROM loose WHERE key = new.unpacked;
END;
CREATE TRIGGER blob_went AFTER DELETE ON blobs BEGIN
    UPDATE totals SET blobs = blobs - 1, held = held - old.size, pinned = pinned - old.size * old.pinned;
    DELETE FROM members WHERE key IN (old.key, old.unpacked);
    DELETE FROM links WHERE parent = old.key;
END;
CREATE TRIGGER part_came AFTER INSERT ON parts BEGIN
    UPDATE totals SET reserved = reserved + new.size;
END;
CREATE TRIGGER part_changed AFTER UPDATE OF size ON parts BEGIN
    UPDATE totals SET reserved = reserved + new.size - old.size;
END;
CREATE TRIGGER part_went AFTER DELETE ON parts BEGIN
    UPDATE totals SET reserved = reserved - old.size;
END;
"""

_SECOND = """
ALTER TABLE totals ADD COLUMN recovered INTEGER NOT NULL DEFAULT 0;
"""

_THIRD = """
CREATE TABLE public (upstream TEXT PRIMARY KEY) WITHOUT ROWID;
"""

STEPS = (_FIRST, _SECOND, _THIRD)
"""Step n leads from format n to n + 1. Format 0 is an empty file."""

FORMAT = len(STEPS)


def bring_up_to_date(db: sqlite3.Connection, name: str) -> None:
    """Each step is one transaction. Raises StoreFailed of a newer format; ``name`` is the file's, for people."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise StoreFailed(
            f"{name} is of format {version} and this apprproxy knows {FORMAT}: it was written by a newer version;"
            f" upgrade, name another cache.directory, or remove {name} (blobs stay; pins and who may see what is lost)"
        )
    for number, step in enumerate(STEPS[version:], version + 1):
        try:
            db.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
