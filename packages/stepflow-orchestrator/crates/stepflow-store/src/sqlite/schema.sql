-- Whole numbers of 64 bits hold two of 32: `k` is a run's number and, behind it, a sequence or an item.

-- The counter of owners, the name of the database's folder of files, and whatever else is one value.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('id', lower(hex(randomblob(8))));

-- Who owns a shard, and whether the owner before left in good order.
CREATE TABLE shards (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, clean INTEGER NOT NULL);

-- One row for each append of a tree, or several for a long one: `k` is the root's number and the last sequence. The
-- rows stand in the order of their commits, found through an index: in the order of `k` each tree would write to a page
-- of its own, and split it again and again. Measured: with 32 trees 11 KiB of WAL for an append instead of 20, with 256
-- trees 6 instead of 16; with one tree 15 instead of 11, at the same speed.
CREATE TABLE journal (
    no INTEGER PRIMARY KEY,
    k INTEGER NOT NULL UNIQUE,
    n INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
);

-- Long values of events, beside the journal, so that folding does not read them: `k` is the root's number and the
-- event's sequence. Values that are longer still are files, here and in the tables of inputs and blobs.
CREATE TABLE vals (k INTEGER PRIMARY KEY, body TEXT, file TEXT);
CREATE INDEX vals_files ON vals (file) WHERE file IS NOT NULL;

-- Runs and sub-runs. `flow` is the flow's id. `overrides_seq` is the event that has the run's overrides, `end_seq` the one
-- that says how the items ended in which nothing had begun. `idle` and `given_up` are those of the tree, in the root's
-- row.
CREATE TABLE runs (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    root_no INTEGER NOT NULL,
    parent BLOB,
    flow BLOB NOT NULL,
    flow_name TEXT,
    status INTEGER NOT NULL,
    total INTEGER NOT NULL,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    overrides_seq INTEGER,
    end_seq INTEGER,
    idle INTEGER NOT NULL DEFAULT 0,
    given_up TEXT
);
-- A list is a part of one of these, from its end: ids grow with time.
CREATE INDEX runs_by_status ON runs (status, id);
CREATE INDEX runs_by_flow ON runs (flow, id);
CREATE INDEX runs_by_name ON runs (flow_name, id) WHERE flow_name IS NOT NULL;
CREATE INDEX runs_by_root ON runs (root_no, id);
CREATE INDEX runs_by_parent ON runs (parent, id);

-- The items' inputs: `k` is the run's number and the item's. Ends are rows of their own, or a long input would be
-- written twice.
CREATE TABLE run_items (k INTEGER PRIMARY KEY, input TEXT, file TEXT);
CREATE INDEX run_items_files ON run_items (file) WHERE file IS NOT NULL;
CREATE TABLE item_ends (
    k INTEGER PRIMARY KEY,
    status INTEGER NOT NULL,
    result_seq INTEGER NOT NULL,
    ended_at INTEGER NOT NULL
);

-- How far steps are. What happened to a step stands in the journal from `first_seq` to `last_seq`.
CREATE TABLE steps (
    run_no INTEGER NOT NULL,
    item INTEGER NOT NULL,
    step INTEGER NOT NULL,
    status INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    scheduled_at INTEGER NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (run_no, item, step)
) WITHOUT ROWID;

-- When trees have to be looked at again.
CREATE TABLE timers (
    due INTEGER NOT NULL,
    root BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (due, root, seq)
) WITHOUT ROWID;
CREATE INDEX timers_of ON timers (root, seq);

-- The attempts that a worker had.
CREATE TABLE had (
    root_no INTEGER NOT NULL,
    task BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (root_no, task, attempt)
) WITHOUT ROWID;

-- Flows as their authors wrote them. One that was not stored by itself goes with the last of its runs. What lists show stands before the body, which they do not read.
CREATE TABLE flows (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    name TEXT,
    description TEXT,
    version TEXT,
    created_at INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX flows_by_time ON flows (created_at, id);

-- `put_at` is the time at which the content was put last.
CREATE TABLE blobs (
    id BLOB PRIMARY KEY,
    type TEXT NOT NULL,
    size INTEGER NOT NULL,
    put_at INTEGER NOT NULL,
    inline TEXT,
    file TEXT
);
CREATE INDEX blobs_files ON blobs (file) WHERE file IS NOT NULL;
-- Which roots name a content, and which flows: those have negative numbers. And which contents name another.
CREATE TABLE blob_uses (root_no INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (root_no, blob)) WITHOUT ROWID;
CREATE INDEX uses_of_blob ON blob_uses (blob);
CREATE TABLE blob_parts (whole BLOB NOT NULL, part BLOB NOT NULL, PRIMARY KEY (whole, part)) WITHOUT ROWID;
CREATE INDEX wholes_of_blob ON blob_parts (part);

-- The names of requests. One of a deleted run has a time at which it is over.
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    run BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX keys_of_run ON idempotency (run);
CREATE INDEX keys_by_end ON idempotency (expires_at) WHERE expires_at IS NOT NULL;

-- Inputs of runs that are not made yet: each number is kept for the root. What is left of another process is of no use.
CREATE TABLE stages (no INTEGER PRIMARY KEY, items INTEGER NOT NULL, put_at INTEGER NOT NULL);

-- Roots that are deleted, and whose other rows are not yet.
CREATE TABLE deleted (root_no INTEGER PRIMARY KEY);
