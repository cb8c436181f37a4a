-- Tables, types and triggers: what a migration makes once. Runs as cv_owner, in an empty schema cv.
-- Amounts are micro-credits (1 credit = 1,000,000). Functions and views are in ledger.sql and jobs.sql.

-- What a column may hold. Domains where one column is enough: Postgres reads a table's checks anew for every
-- statement, which cost the ledger more than its writes did; a domain's it keeps ready.
CREATE DOMAIN cv.micro AS bigint CHECK (VALUE >= 0);                -- an amount, in micro-credits
CREATE DOMAIN cv.moved AS bigint CHECK (VALUE > 0);                 -- an amount that changes buckets
CREATE DOMAIN cv.count AS integer CHECK (VALUE >= 0);
CREATE DOMAIN cv.said AS text CHECK (btrim(VALUE) <> '');           -- who or why: never left blank
CREATE DOMAIN cv.user_type AS text CHECK (VALUE IN ('registered', 'api_only', 'system'));
CREATE DOMAIN cv.job_state AS text
  CHECK (VALUE IN ('queued', 'processing', 'completed', 'failed', 'cancelled', 'expired'));

-- `tier` is the plan's rank, shown to callers.
CREATE TABLE cv.plan (
  tier smallint PRIMARY KEY,
  name text NOT NULL UNIQUE,
  monthly cv.micro NOT NULL
);
INSERT INTO cv.plan VALUES (1, 'free', 60 * 1000000), (2, 'pro', 10000::bigint * 1000000);

CREATE TABLE cv.account (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  kind cv.user_type NOT NULL,
  email text CHECK (email = lower(email)),
  name text,
  password_hash text,
  tier smallint NOT NULL DEFAULT 1 REFERENCES cv.plan,
  admin boolean NOT NULL DEFAULT false,
  suspended boolean NOT NULL DEFAULT false,
  token_epoch integer NOT NULL DEFAULT 0,      -- raising it revokes every token given out
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed xid8 NOT NULL DEFAULT '0',           -- the last transaction that changed what its owner may do
  CONSTRAINT account_email_taken UNIQUE (email)
);
CREATE INDEX account_changed ON cv.account (changed);

-- A key is found by a keyed digest; the sealed copy is shown again at log-in. Neither key is in the database.
CREATE TABLE cv.api_key (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  account uuid NOT NULL REFERENCES cv.account,
  name text NOT NULL,
  prefix text NOT NULL,
  digest bytea NOT NULL UNIQUE,
  sealed bytea,
  scopes text[] NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_used_at timestamptz,
  expires_at timestamptz,
  revoked_at timestamptz,                      -- may lie ahead: a rotated key's days of grace
  personal boolean NOT NULL DEFAULT false,     -- shown at log-in
  changed xid8 NOT NULL DEFAULT '0'
);
CREATE INDEX api_key_account ON cv.api_key (account, created_at);
CREATE INDEX api_key_changed ON cv.api_key (changed);

-- Marks what front doors must not go on believing. A transaction's number, not the time: whoever compares it
-- with the oldest transaction of an earlier look misses none, however late it commits.
CREATE FUNCTION cv.mark_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed := pg_catalog.pg_current_xact_id();
  RETURN NEW;
END $$;
CREATE TRIGGER marks_changes BEFORE UPDATE ON cv.account FOR EACH ROW
  WHEN ((OLD.kind, OLD.tier, OLD.admin, OLD.suspended, OLD.token_epoch)
    IS DISTINCT FROM (NEW.kind, NEW.tier, NEW.admin, NEW.suspended, NEW.token_epoch))
  EXECUTE FUNCTION cv.mark_changed();
CREATE TRIGGER marks_changes BEFORE UPDATE ON cv.api_key FOR EACH ROW
  WHEN ((OLD.digest, OLD.scopes, OLD.expires_at, OLD.revoked_at)
    IS DISTINCT FROM (NEW.digest, NEW.scopes, NEW.expires_at, NEW.revoked_at))
  EXECUTE FUNCTION cv.mark_changed();

-- Tokens mailed to who forgot a password: kept as digests, gone with their use.
CREATE TABLE cv.password_reset (
  digest bytea PRIMARY KEY,
  account uuid NOT NULL REFERENCES cv.account,
  expires_at timestamptz NOT NULL
);
CREATE INDEX password_reset_account ON cv.password_reset (account);
CREATE INDEX password_reset_expires ON cv.password_reset (expires_at);

-- Codes that let people sign up where not everybody may: kept as digests, each good for so many accounts.
CREATE TABLE cv.invite (
  digest bytea PRIMARY KEY,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  tier smallint NOT NULL REFERENCES cv.plan,
  uses_left integer NOT NULL CHECK (uses_left >= 0),
  expires_at timestamptz
);

-- What workers say of their engines: the front door validates against these alone.
CREATE TABLE cv.engine (
  name text NOT NULL,
  worker text NOT NULL,
  capabilities jsonb NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (name, worker)
);

-- Six buckets an owner: `issued` is where credits come from, the others where they are.
CREATE TYPE cv.bucket AS ENUM ('issued', 'free', 'paid', 'held', 'spent', 'expired');

-- One row an owner: the projection of the owner's transfers, and the only lock on them.
CREATE TABLE cv.wallet (
  owner uuid PRIMARY KEY,
  kind cv.user_type NOT NULL,
  tier smallint NOT NULL REFERENCES cv.plan,
  monthly cv.micro,                            -- null: the plan's
  next_tier smallint REFERENCES cv.plan,       -- lower terms wait for the next month
  next_monthly cv.micro,
  unlimited boolean NOT NULL DEFAULT false,
  closed boolean NOT NULL DEFAULT false,
  period date NOT NULL,                        -- first day of the month `free` belongs to
  seq bigint NOT NULL DEFAULT 0,
  head bytea NOT NULL DEFAULT '\x00',          -- hash of the last transfer
  issued bigint NOT NULL DEFAULT 0,
  free cv.micro NOT NULL DEFAULT 0,
  paid cv.micro NOT NULL DEFAULT 0,
  held cv.micro NOT NULL DEFAULT 0,
  spent cv.micro NOT NULL DEFAULT 0,
  expired cv.micro NOT NULL DEFAULT 0,
  open_jobs cv.count NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL DEFAULT '-infinity',  -- when this owner's queued work would be done, alone
  CONSTRAINT zero_sum CHECK (issued = free + paid + held + spent + expired)
) WITH (fillfactor = 70);

-- Its rows are never removed, so transfers and jobs need no foreign key to it: that would look at the wallet
-- again in every transaction, which has it locked. The audit looks for rows without one.
-- The journal. One row is one debit and one credit, so an unbalanced entry cannot be written.
-- Slots of a job's ref: 10-12 hold (free, paid, issued), 20-22 its resolution, 30-32 the rest given back,
-- 40-42 refund. Slots of other refs: 0 issue, 1 and 2 expiry (free, paid); of a month's: 3 issue, 4 expiry.
-- UNIQUE makes each happen at most once.
CREATE TABLE cv.transfer (
  owner uuid NOT NULL,
  seq bigint NOT NULL,
  ref uuid NOT NULL,
  slot smallint NOT NULL,
  src cv.bucket NOT NULL,
  dst cv.bucket NOT NULL,
  amount cv.moved NOT NULL,
  bucket cv.bucket NOT NULL,                   -- which credits these are: free, paid or issued (unlimited)
  period date NOT NULL,
  actor cv.said NOT NULL,
  reason cv.said NOT NULL,
  at timestamptz NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (owner, seq),
  UNIQUE (owner, ref, slot),
  CHECK (src <> dst)
);

-- Wallets as they stood when they were last found right: from there the quick audit goes on.
CREATE TABLE cv.checkpoint (
  owner uuid NOT NULL,
  seq bigint NOT NULL,
  head bytea NOT NULL,                         -- the transfer's hash, which binds all before it
  issued bigint NOT NULL,
  free bigint NOT NULL,
  paid bigint NOT NULL,
  held bigint NOT NULL,
  spent bigint NOT NULL,
  expired bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (owner, seq)
);

-- What operators did, besides what the transfers say. `ref` makes an act happen at most once.
CREATE TABLE cv.admin_act (
  ref uuid PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor cv.said NOT NULL,
  act text NOT NULL,
  owner uuid,
  reason cv.said NOT NULL,
  details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX admin_act_at ON cv.admin_act (at DESC);
CREATE INDEX admin_act_owner ON cv.admin_act (owner, at DESC);

-- The price book. A version holds from `valid_from` until a later one for the same kind and engine; '*' is any.
CREATE TABLE cv.price (
  version integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL CHECK (kind <> ''),
  engine text NOT NULL CHECK (engine <> ''),
  unit text NOT NULL CHECK (unit IN ('request', '1000_characters', 'audio_second')),
  amount cv.micro NOT NULL,                    -- a unit
  valid_from timestamptz NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ref uuid NOT NULL UNIQUE,
  actor cv.said NOT NULL,
  reason cv.said NOT NULL
);
INSERT INTO cv.price (kind, engine, unit, amount, valid_from, ref, actor, reason)
VALUES ('*', '*', 'request', 1000000, '2000-01-01Z', '00000000-0000-0000-0000-000000000000', 'migration', 'default');

CREATE FUNCTION cv.deny() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'append-only: % on %.% refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON cv.transfer
  FOR EACH ROW EXECUTE FUNCTION cv.deny();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.transfer
  FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();
-- ALWAYS: session_replication_role = replica must not silence them.
ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_rows;
ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_table;
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON cv.admin_act
  FOR EACH ROW EXECUTE FUNCTION cv.deny();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.admin_act
  FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();
ALTER TABLE cv.admin_act ENABLE ALWAYS TRIGGER append_only_rows;
ALTER TABLE cv.admin_act ENABLE ALWAYS TRIGGER append_only_table;
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON cv.price
  FOR EACH ROW EXECUTE FUNCTION cv.deny();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.price FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();
ALTER TABLE cv.price ENABLE ALWAYS TRIGGER append_only_rows;
ALTER TABLE cv.price ENABLE ALWAYS TRIGGER append_only_table;
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON cv.checkpoint
  FOR EACH ROW EXECUTE FUNCTION cv.deny();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.checkpoint FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();
ALTER TABLE cv.checkpoint ENABLE ALWAYS TRIGGER append_only_rows;
ALTER TABLE cv.checkpoint ENABLE ALWAYS TRIGGER append_only_table;
CREATE TRIGGER append_only_rows BEFORE DELETE ON cv.wallet FOR EACH ROW EXECUTE FUNCTION cv.deny();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.wallet FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();
ALTER TABLE cv.wallet ENABLE ALWAYS TRIGGER append_only_rows;
ALTER TABLE cv.wallet ENABLE ALWAYS TRIGGER append_only_table;

-- One row a job of any kind. `attempt` fences whoever works on it; `tries` counts what was its own fault.
-- Leased and a worker's while processing, and only then; priced once it has ended, and only then: the audit
-- looks, since a table's check would cost each of a job's three statements more than its index entries do.
CREATE TABLE cv.job (
  id uuid PRIMARY KEY,
  owner uuid NOT NULL,
  kind text NOT NULL,
  engine text NOT NULL,
  lane text NOT NULL,                          -- jobs of one lane may share a batch
  params jsonb NOT NULL,
  characters integer NOT NULL,
  hold cv.micro NOT NULL,
  tariff integer,                              -- the version of the price book; null: the hold is the price
  price cv.micro,                              -- what was charged; null until settled
  bucket cv.bucket,                            -- the first answer, for replays: last bucket held from …
  remaining bigint NOT NULL,                   -- … and what it had left
  split boolean NOT NULL DEFAULT false,        -- held from two buckets
  state cv.job_state NOT NULL DEFAULT 'queued',
  attempt integer NOT NULL DEFAULT 0,
  tries integer NOT NULL DEFAULT 0,
  worker text,
  lease timestamptz,
  not_before timestamptz NOT NULL DEFAULT '-infinity',
  fair_at timestamptz NOT NULL,
  deadline timestamptz NOT NULL,               -- still queued then: expired
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at timestamptz,
  finished_at timestamptz,
  code text,                                   -- why it failed
  object text,
  content_type text,
  audio_bytes bigint,
  duration_ms bigint,
  sha256 bytea,
  audio_until timestamptz,
  api_key uuid,                                -- the key it came by; null: a token, or the system
  live boolean NOT NULL DEFAULT false,         -- somebody listens while it is made, or will
  heard boolean NOT NULL DEFAULT false         -- an audio byte was given to a listener
) WITH (fillfactor = 70);
CREATE INDEX job_ready ON cv.job (engine, fair_at) WHERE state = 'queued';
CREATE INDEX job_lane ON cv.job (engine, lane, fair_at) WHERE state = 'queued';
CREATE INDEX job_deadline ON cv.job (deadline) WHERE state = 'queued';
CREATE INDEX job_lease ON cv.job (lease) WHERE state = 'processing';
CREATE INDEX job_owner ON cv.job (owner, created_at DESC) INCLUDE (kind, state, price);  -- usage is read from it alone
CREATE INDEX job_text ON cv.job (finished_at) WHERE code IS NOT NULL AND params ->> 'text' <> '';
CREATE INDEX job_audio ON cv.job (audio_until) WHERE object IS NOT NULL;

CREATE TABLE cv.idempotency (
  owner uuid NOT NULL,
  key text NOT NULL CHECK (length(key) <= 255),
  fingerprint bytea NOT NULL,
  job uuid NOT NULL REFERENCES cv.job,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_at ON cv.idempotency (at);

-- The digest of the functions last applied, so that an unchanged set is not applied again.
CREATE TABLE cv.routines (one boolean PRIMARY KEY DEFAULT true CHECK (one), digest text NOT NULL);
