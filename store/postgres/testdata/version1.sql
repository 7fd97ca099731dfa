-- A database of version 1, as its program left it when it was killed: pg_dump --no-owner --no-privileges --inserts, without
-- the names of the schema and the settings of the session, and with a large argument of one letter written shorter.
CREATE TABLE arg (
    handle bigint NOT NULL,
    part integer NOT NULL,
    data bytea NOT NULL
);
ALTER TABLE ONLY arg ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE beat (
    run bigint NOT NULL,
    n bigint NOT NULL,
    released boolean NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE job (
    handle bigint NOT NULL,
    key uuid,
    due bigint NOT NULL,
    prio smallint NOT NULL,
    retries smallint NOT NULL,
    fn bytea NOT NULL,
    uniq bytea NOT NULL,
    reducer bytea NOT NULL,
    size integer NOT NULL,
    data bytea
)
WITH (fillfactor='90');
ALTER TABLE ONLY job ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE meta (
    one boolean DEFAULT true NOT NULL,
    format integer NOT NULL,
    last_run bigint NOT NULL,
    CONSTRAINT meta_one_check CHECK (one)
);
CREATE TABLE run (
    run bigint NOT NULL,
    owner bigint NOT NULL,
    node text NOT NULL,
    address text NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE setting (
    node text NOT NULL,
    document bytea NOT NULL
);
INSERT INTO arg VALUES (275767686728777822, 0, convert_to(repeat('x', 300000), 'UTF8'));
INSERT INTO beat VALUES (1003237, 1, false);
INSERT INTO job VALUES (275767686728777788, '1f10c787-1c4a-bda9-4787-da7f1dc4cb51', 0, 1, 0, '\x6d61696c2e73656e64', '\x6461696c79', '\x', 12, '\x746f206576657279626f6479');
INSERT INTO job VALUES (275767686728777758, '3982b41c-08b5-948b-fab7-3a647dca1c17', 0, 1, 0, '\x726573697a65', '\x66623261373565362d656234392d313166312d393032382d303266633030303030303031', '\x', 7, '\x6361742e6a7067');
INSERT INTO job VALUES (275767686728777822, 'b7c883a2-a7d3-6a5e-8924-45a6701c5819', 0, 1, 0, '\x726573697a65', '\x6c61726765', '\x', 300000, NULL);
INSERT INTO meta VALUES (true, 1, 1003237);
INSERT INTO run VALUES (1003237, 1003237, 'old', '127.0.0.1:4730');
ALTER TABLE ONLY arg
    ADD CONSTRAINT arg_pkey PRIMARY KEY (handle, part);
ALTER TABLE ONLY beat
    ADD CONSTRAINT beat_pkey PRIMARY KEY (run);
ALTER TABLE ONLY job
    ADD CONSTRAINT job_pkey PRIMARY KEY (handle);
ALTER TABLE ONLY meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (one);
ALTER TABLE ONLY run
    ADD CONSTRAINT run_pkey PRIMARY KEY (run);
ALTER TABLE ONLY setting
    ADD CONSTRAINT setting_pkey PRIMARY KEY (node);
CREATE UNIQUE INDEX job_key ON job USING btree (key) WHERE (key IS NOT NULL);
CREATE INDEX run_owner ON run USING btree (owner);
