--
-- PostgreSQL database dump
--


-- Dumped from database version 18.6
-- Dumped by pg_dump version 18.6

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: cv; Type: SCHEMA; Schema: -; Owner: cv_owner
--

CREATE SCHEMA cv;


ALTER SCHEMA cv OWNER TO cv_owner;

--
-- Name: bucket; Type: TYPE; Schema: cv; Owner: cv_owner
--

CREATE TYPE cv.bucket AS ENUM (
    'issued',
    'free',
    'paid',
    'held',
    'spent',
    'expired'
);


ALTER TYPE cv.bucket OWNER TO cv_owner;

--
-- Name: count; Type: DOMAIN; Schema: cv; Owner: cv_owner
--

CREATE DOMAIN cv.count AS integer
	CONSTRAINT count_check CHECK ((VALUE >= 0));


ALTER DOMAIN cv.count OWNER TO cv_owner;

--
-- Name: job_state; Type: DOMAIN; Schema: cv; Owner: cv_owner
--

CREATE DOMAIN cv.job_state AS text
	CONSTRAINT job_state_check CHECK ((VALUE = ANY (ARRAY['queued'::text, 'processing'::text, 'completed'::text, 'failed'::text, 'cancelled'::text, 'expired'::text])));


ALTER DOMAIN cv.job_state OWNER TO cv_owner;

--
-- Name: micro; Type: DOMAIN; Schema: cv; Owner: cv_owner
--

CREATE DOMAIN cv.micro AS bigint
	CONSTRAINT micro_check CHECK ((VALUE >= 0));


ALTER DOMAIN cv.micro OWNER TO cv_owner;

--
-- Name: moved; Type: DOMAIN; Schema: cv; Owner: cv_owner
--

CREATE DOMAIN cv.moved AS bigint
	CONSTRAINT moved_check CHECK ((VALUE > 0));


ALTER DOMAIN cv.moved OWNER TO cv_owner;

--
-- Name: said; Type: DOMAIN; Schema: cv; Owner: cv_owner
--

CREATE DOMAIN cv.said AS text
	CONSTRAINT said_check CHECK ((btrim(VALUE) <> ''::text));


ALTER DOMAIN cv.said OWNER TO cv_owner;

--
-- Name: user_type; Type: DOMAIN; Schema: cv; Owner: cv_owner
--

CREATE DOMAIN cv.user_type AS text
	CONSTRAINT user_type_check CHECK ((VALUE = ANY (ARRAY['registered'::text, 'api_only'::text, 'system'::text])));


ALTER DOMAIN cv.user_type OWNER TO cv_owner;

--
-- Name: break_off(uuid, uuid, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.break_off(p_job uuid, p_owner uuid, p_actor text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE w cv.wallet := cv.take(p_owner); found_state text;
BEGIN
  SELECT state INTO found_state FROM cv.job WHERE id = p_job AND owner = p_owner FOR UPDATE;
  IF NOT FOUND THEN RETURN 'not_found'; END IF;
  IF found_state IN ('queued', 'processing') THEN
    w := cv.save(cv.close_job(w, p_job, 'failed', 'broken_off', 0, p_actor));
    RETURN 'failed';
  END IF;
  RETURN CASE WHEN cv.refund(p_job, p_actor, 'broken_off') = 'refunded' THEN 'refunded' ELSE 'too_late' END;
END $$;


ALTER FUNCTION cv.break_off(p_job uuid, p_owner uuid, p_actor text) OWNER TO cv_owner;

--
-- Name: cancel(uuid, uuid, text, boolean); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.cancel(p_job uuid, p_owner uuid, p_actor text, p_heard boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE w cv.wallet := cv.take(p_owner); j cv.job;
BEGIN
  SELECT * INTO j FROM cv.job x WHERE x.id = p_job AND x.owner = p_owner FOR UPDATE;
  IF NOT FOUND THEN RETURN 'not_found'; END IF;
  IF j.state NOT IN ('queued', 'processing') THEN RETURN 'too_late'; END IF;
  IF p_heard AND NOT j.heard THEN UPDATE cv.job SET heard = true WHERE id = p_job; END IF;
  w := cv.save(cv.close_job(w, p_job, 'cancelled', 'cancelled', CASE WHEN j.heard OR p_heard THEN j.hold ELSE 0 END,
                               p_actor));
  RETURN 'cancelled';
END $$;


ALTER FUNCTION cv.cancel(p_job uuid, p_owner uuid, p_actor text, p_heard boolean) OWNER TO cv_owner;

--
-- Name: charge(uuid, uuid, text, text, text, bigint, integer, bigint, text, bytea, interval, text, integer); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.charge(p_id uuid, p_owner uuid, p_kind text, p_engine text, p_params text, p_price bigint, p_characters integer, p_duration_ms bigint, p_key text, p_fingerprint bytea, p_within interval, p_actor text, p_tariff integer DEFAULT NULL::integer) RETURNS TABLE(code text, id uuid, bucket cv.bucket, remaining bigint, price bigint, spendable bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE w cv.wallet; j cv.job;
BEGIN
  PERFORM FROM cv.wallet x WHERE x.owner = p_owner FOR NO KEY UPDATE;
  DELETE FROM cv.idempotency i WHERE i.owner = p_owner AND i.key = p_key AND i.at < clock_timestamp() - p_within;
  SELECT s.code, s.id, s.bucket, s.remaining INTO code, id, bucket, remaining
    FROM cv.submit(ARRAY[p_id], ARRAY[p_owner], ARRAY[p_kind], ARRAY[p_engine], ARRAY[''], ARRAY[p_params],
      ARRAY[p_price], ARRAY[p_characters], ARRAY[0::bigint], ARRAY[p_key], ARRAY[p_fingerprint],
      interval '0', 2147483647, p_tariffs => ARRAY[p_tariff]) s;  -- ends at once, so it never waits among others
  IF code NOT IN ('queued', 'replayed') THEN RETURN NEXT; RETURN; END IF;
  SELECT * INTO j FROM cv.job x WHERE x.id = charge.id;
  IF j.state = 'queued' THEN
    code := 'charged';
    w := cv.close_job(cv.take(p_owner), j.id, 'completed', NULL, p_price, p_actor);
    w := cv.save(w);
    UPDATE cv.job x SET duration_ms = p_duration_ms, params = x.params || jsonb_build_object('spendable',
      CASE WHEN NOT w.unlimited THEN w.free + w.paid END) WHERE x.id = j.id RETURNING * INTO j;
  ELSE
    code := 'replayed';
  END IF;
  price := j.price; spendable := (j.params ->> 'spendable')::bigint;
  RETURN NEXT;
END $$;


ALTER FUNCTION cv.charge(p_id uuid, p_owner uuid, p_kind text, p_engine text, p_params text, p_price bigint, p_characters integer, p_duration_ms bigint, p_key text, p_fingerprint bytea, p_within interval, p_actor text, p_tariff integer) OWNER TO cv_owner;

--
-- Name: checkpoint(uuid, integer); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.checkpoint(p_after uuid, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE written bigint;
BEGIN
  -- In order, like everybody; until the commit nothing moves in them.
  PERFORM FROM (SELECT x.owner FROM cv.wallet x WHERE p_after IS NULL OR x.owner > p_after
    ORDER BY x.owner LIMIT p_limit FOR NO KEY UPDATE) locked;
  INSERT INTO cv.checkpoint (owner, seq, head, issued, free, paid, held, spent, expired)
  SELECT w.owner, w.seq, w.head, w.issued, w.free, w.paid, w.held, w.spent, w.expired
  FROM (SELECT * FROM cv.wallet x WHERE p_after IS NULL OR x.owner > p_after ORDER BY x.owner LIMIT p_limit) w
  WHERE NOT EXISTS (SELECT FROM cv.checkpoint c WHERE c.owner = w.owner AND c.seq = w.seq)
    AND w.owner NOT IN (SELECT d.owner FROM cv.defects_since_checkpoint(p_after, p_limit) d);
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;


ALTER FUNCTION cv.checkpoint(p_after uuid, p_limit integer) OWNER TO cv_owner;

--
-- Name: claim(text, text, boolean, integer, text, interval); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.claim(p_engine text, p_lane text, p_mixed boolean, p_limit integer, p_worker text, p_lease interval) RETURNS TABLE(id uuid, attempt integer, lane text, params text, fair_at timestamp with time zone, live boolean, kind text, waited_s double precision)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE ids uuid[]; at timestamptz := clock_timestamp();
BEGIN
  IF p_lane IS NULL AND NOT p_mixed THEN
    SELECT j.lane INTO p_lane FROM cv.job j
      WHERE j.engine = p_engine AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
      ORDER BY j.fair_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN; END IF;
  END IF;
  IF p_lane IS NULL THEN
    ids := ARRAY(SELECT j.id FROM cv.job j
      WHERE j.engine = p_engine AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
      ORDER BY j.fair_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
  ELSE
    ids := ARRAY(SELECT j.id FROM cv.job j
      WHERE j.engine = p_engine AND j.lane = p_lane AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
      ORDER BY j.fair_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
  END IF;
  RETURN QUERY UPDATE cv.job j SET state = 'processing', attempt = j.attempt + 1, tries = j.tries + 1,
      worker = p_worker, lease = at + p_lease, started_at = coalesce(j.started_at, at)
    WHERE j.id = ANY(ids) RETURNING j.id, j.attempt, j.lane, j.params::text, j.fair_at, j.live, j.kind,
      extract(epoch FROM at - j.created_at)::float8;
END $$;


ALTER FUNCTION cv.claim(p_engine text, p_lane text, p_mixed boolean, p_limit integer, p_worker text, p_lease interval) OWNER TO cv_owner;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: wallet; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.wallet (
    owner uuid NOT NULL,
    kind cv.user_type NOT NULL,
    tier smallint NOT NULL,
    monthly cv.micro,
    next_tier smallint,
    next_monthly cv.micro,
    unlimited boolean DEFAULT false NOT NULL,
    closed boolean DEFAULT false NOT NULL,
    period date NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    head bytea DEFAULT '\x00'::bytea NOT NULL,
    issued bigint DEFAULT 0 NOT NULL,
    free cv.micro DEFAULT 0 NOT NULL,
    paid cv.micro DEFAULT 0 NOT NULL,
    held cv.micro DEFAULT 0 NOT NULL,
    spent cv.micro DEFAULT 0 NOT NULL,
    expired cv.micro DEFAULT 0 NOT NULL,
    open_jobs cv.count DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT zero_sum CHECK ((issued = (((((free)::bigint + (paid)::bigint) + (held)::bigint) + (spent)::bigint) + (expired)::bigint)))
)
WITH (fillfactor='70');


ALTER TABLE cv.wallet OWNER TO cv_owner;

--
-- Name: close_job(cv.wallet, uuid, text, text, bigint, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.close_job(w cv.wallet, p_job uuid, p_state text, p_code text, p_price bigint, p_actor text) RETURNS cv.wallet
    LANGUAGE plpgsql
    AS $$
BEGIN
  UPDATE cv.job SET state = p_state, code = p_code, price = p_price, lease = NULL, worker = NULL,
    finished_at = clock_timestamp() WHERE id = p_job;
  w := cv.settle(w, p_job, p_price, p_actor);
  w.open_jobs := w.open_jobs - 1;
  RETURN w;
END $$;


ALTER FUNCTION cv.close_job(w cv.wallet, p_job uuid, p_state text, p_code text, p_price bigint, p_actor text) OWNER TO cv_owner;

--
-- Name: close_wallet(uuid, uuid, text, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.close_wallet(p_owner uuid, p_ref uuid, p_actor text, p_reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF w.closed THEN RETURN 'replayed'; END IF;
  IF w.free > 0 THEN w := cv.enter(w, p_ref, 1, 'free', 'expired', w.free, 'free', p_actor, p_reason); END IF;
  IF w.paid > 0 THEN w := cv.enter(w, p_ref, 2, 'paid', 'expired', w.paid, 'paid', p_actor, p_reason); END IF;
  w.closed := true;
  w := cv.save(w);
  PERFORM cv.record_act(p_ref, p_actor, 'close', p_owner, p_reason, '{}');
  RETURN 'closed';
END $$;


ALTER FUNCTION cv.close_wallet(p_owner uuid, p_ref uuid, p_actor text, p_reason text) OWNER TO cv_owner;

--
-- Name: defects_since_checkpoint(uuid, integer); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.defects_since_checkpoint(p_after uuid, p_limit integer) RETURNS TABLE(owner uuid, what text, id text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
  WITH base AS MATERIALIZED (
    SELECT w AS wallet, w.owner, coalesce(c.seq, 0) AS seq, coalesce(c.head, '\x00') AS head, c.owner IS NOT NULL AS known,
      coalesce(c.issued, 0) AS issued, coalesce(c.free, 0) AS free, coalesce(c.paid, 0) AS paid,
      coalesce(c.held, 0) AS held, coalesce(c.spent, 0) AS spent, coalesce(c.expired, 0) AS expired
    FROM (SELECT * FROM cv.wallet x WHERE p_after IS NULL OR x.owner > p_after ORDER BY x.owner LIMIT p_limit) w
    LEFT JOIN LATERAL (SELECT * FROM cv.checkpoint k WHERE k.owner = w.owner ORDER BY k.seq DESC LIMIT 1) c ON true),
  since AS MATERIALIZED (
    SELECT t AS this, t.*, lag(t.hash, 1, b.head) OVER (PARTITION BY t.owner ORDER BY t.seq) AS prev
    FROM base b JOIN cv.transfer t ON t.owner = b.owner AND t.seq > b.seq),
  told AS (
    SELECT s.owner, count(*) AS n, max(s.seq) AS seq,
      sum(s.amount * ((s.src = 'issued')::int - (s.dst = 'issued')::int)) AS issued,
      sum(s.amount * ((s.dst = 'free')::int - (s.src = 'free')::int)) AS free,
      sum(s.amount * ((s.dst = 'paid')::int - (s.src = 'paid')::int)) AS paid,
      sum(s.amount * ((s.dst = 'held')::int - (s.src = 'held')::int)) AS held,
      sum(s.amount * ((s.dst = 'spent')::int - (s.src = 'spent')::int)) AS spent,
      sum(s.amount * ((s.dst = 'expired')::int - (s.src = 'expired')::int)) AS expired
    FROM since s GROUP BY s.owner),
  moved AS (  -- a job's holds are of one commit, and so are its ends: never on both sides of a checkpoint
    SELECT s.owner, s.ref, coalesce(sum(s.amount) FILTER (WHERE s.slot BETWEEN 10 AND 12), 0) AS held,
      coalesce(sum(s.amount) FILTER (WHERE s.slot BETWEEN 20 AND 39), 0) AS resolved,
      coalesce(sum(s.amount) FILTER (WHERE s.slot BETWEEN 20 AND 39 AND s.dst = 'spent'), 0) AS spent
    FROM since s WHERE s.slot BETWEEN 10 AND 39 GROUP BY s.owner, s.ref)
  SELECT b.owner, 'projection differs from transfers', b.owner::text FROM base b LEFT JOIN told t ON t.owner = b.owner
  WHERE ((b.wallet).seq, (b.wallet).issued, (b.wallet).free, (b.wallet).paid, (b.wallet).held, (b.wallet).spent,
         (b.wallet).expired)
    IS DISTINCT FROM (coalesce(t.seq, b.seq), b.issued + coalesce(t.issued, 0), b.free + coalesce(t.free, 0),
      b.paid + coalesce(t.paid, 0), b.held + coalesce(t.held, 0), b.spent + coalesce(t.spent, 0),
      b.expired + coalesce(t.expired, 0))
  UNION ALL SELECT t.owner, 'gap in the sequence', t.owner::text FROM told t JOIN base b ON b.owner = t.owner
    WHERE t.n <> t.seq - b.seq
  UNION ALL SELECT s.owner, 'hash chain broken', s.owner::text FROM since s
    WHERE s.hash IS DISTINCT FROM cv.link(s.prev, s.this)
  UNION ALL SELECT b.owner, 'hash chain broken', b.owner::text FROM base b
    WHERE (b.wallet).head IS DISTINCT FROM coalesce(
      (SELECT x.hash FROM cv.transfer x WHERE x.owner = b.owner AND x.seq = (b.wallet).seq), '\x00')
  UNION ALL SELECT b.owner, 'checkpoint differs from its transfer', b.owner::text FROM base b
    WHERE b.known AND b.seq > 0
      AND NOT EXISTS (SELECT FROM cv.transfer x WHERE x.owner = b.owner AND x.seq = b.seq AND x.hash = b.head)
  UNION ALL SELECT m.owner, 'job and hold differ', m.ref::text FROM moved m WHERE m.held > 0
    AND NOT EXISTS (SELECT FROM cv.job j WHERE j.id = m.ref AND j.owner = m.owner AND j.hold = m.held)
  UNION ALL SELECT m.owner, 'job state and credit differ', m.ref::text FROM moved m WHERE m.resolved > 0
    AND NOT EXISTS (SELECT FROM cv.job j WHERE j.id = m.ref AND j.owner = m.owner AND j.hold = m.resolved
                    AND j.price = m.spent) $$;


ALTER FUNCTION cv.defects_since_checkpoint(p_after uuid, p_limit integer) OWNER TO cv_owner;

--
-- Name: deny(); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.deny() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION 'append-only: % on %.% refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;


ALTER FUNCTION cv.deny() OWNER TO cv_owner;

--
-- Name: enter(cv.wallet, uuid, integer, cv.bucket, cv.bucket, bigint, cv.bucket, text, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.enter(w cv.wallet, p_ref uuid, p_slot integer, p_src cv.bucket, p_dst cv.bucket, p_amount bigint, p_bucket cv.bucket, p_actor text, p_reason text) RETURNS cv.wallet
    LANGUAGE plpgsql
    AS $$
DECLARE at timestamptz := cv.now();
BEGIN
  INSERT INTO cv.transfer VALUES (w.owner, w.seq + 1, p_ref, p_slot, p_src, p_dst, p_amount, p_bucket, w.period,
    p_actor, p_reason, at, cv.link(w.head, ROW(w.owner, w.seq + 1, p_ref, p_slot, p_src, p_dst, p_amount, p_bucket,
    w.period, p_actor, p_reason, at, NULL)::cv.transfer))
  RETURNING seq, hash,
    w.issued + amount * ((src = 'issued')::int - (dst = 'issued')::int),
    w.free + amount * ((dst = 'free')::int - (src = 'free')::int),
    w.paid + amount * ((dst = 'paid')::int - (src = 'paid')::int),
    w.held + amount * ((dst = 'held')::int - (src = 'held')::int),
    w.spent + amount * ((dst = 'spent')::int - (src = 'spent')::int),
    w.expired + amount * ((dst = 'expired')::int - (src = 'expired')::int)
    INTO w.seq, w.head, w.issued, w.free, w.paid, w.held, w.spent, w.expired;
  RETURN w;
END $$;


ALTER FUNCTION cv.enter(w cv.wallet, p_ref uuid, p_slot integer, p_src cv.bucket, p_dst cv.bucket, p_amount bigint, p_bucket cv.bucket, p_actor text, p_reason text) OWNER TO cv_owner;

--
-- Name: expire_credits(uuid, uuid, bigint, text, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.expire_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = p_owner AND ref = p_ref AND slot = 2) THEN
    RETURN 'replayed';
  END IF;
  IF w.paid < p_amount THEN RETURN 'not_enough'; END IF;
  w := cv.save(cv.enter(w, p_ref, 2, 'paid', 'expired', p_amount, 'paid', p_actor, p_reason));
  PERFORM cv.record_act(p_ref, p_actor, 'expire', p_owner, p_reason, jsonb_build_object('amount', p_amount));
  RETURN 'expired';
END $$;


ALTER FUNCTION cv.expire_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text) OWNER TO cv_owner;

--
-- Name: finish(uuid[], integer[], text[], text[], bigint[], text[], text[], bigint[], bigint[], bytea[], text, integer, interval); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.finish(p_ids uuid[], p_attempts integer[], p_outcomes text[], p_codes text[], p_prices bigint[], p_objects text[], p_content_types text[], p_bytes bigint[], p_durations_ms bigint[], p_sha256s bytea[], p_worker text, p_tries_max integer, p_keep interval) RETURNS TABLE(id uuid, attempt integer, result text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_material TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE w cv.wallet; owner_now uuid; owners uuid[]; n int; tries int; due bigint; slot int; bucket cv.bucket; whole boolean;
  locked_at timestamptz; said_at timestamptz; plain bigint;
BEGIN
  owners := ARRAY(SELECT (SELECT x.owner FROM cv.job x WHERE x.id = t.id) FROM unnest(p_ids) AS t(id));
  PERFORM FROM cv.wallet x WHERE x.owner = ANY(owners) ORDER BY x.owner FOR NO KEY UPDATE;
  locked_at := clock_timestamp(); said_at := cv.now();

  -- As in cv.submit: jobs done at the price they were held at, from one bucket, each its owner's only one here.
  -- Who fences a job or ends it has the wallet's lock: what is read here stays so. What was held, and from where, is
  -- read from the job: a plan made while the tables were young would seek the hold among all its owner's transfers.
  RETURN QUERY WITH y AS (
    SELECT t.n, x.id, x.owner, x.seq, x.slot, x.amount, x.bucket, x.period, x.at,
      cv.link(x.head, ROW(x.owner, x.seq, x.id, x.slot, 'held', 'spent', x.amount, x.bucket, x.period, p_worker, 'post',
        x.at, NULL)::cv.transfer) AS hash
    FROM unnest(p_ids, owners) WITH ORDINALITY AS t(id, owner, n), LATERAL (
      SELECT j.id, j.attempt, j.worker, j.hold AS amount, j.tariff, j.bucket, j.split, w.owner, w.seq + 1 AS seq, w.head,
        w.period, cv.hold_slot(j.bucket) + 10 AS slot, said_at AS at
      FROM cv.job j, cv.wallet w WHERE j.id = t.id AND w.owner = t.owner OFFSET 0) x
    WHERE p_outcomes[n] = 'done' AND cardinality(array_positions(owners, t.owner)) = 1
      AND NOT x.split AND x.amount > 0 AND x.attempt = p_attempts[n] AND x.worker = p_worker
      AND x.period >= date_trunc('month', x.at AT TIME ZONE 'UTC')
      AND coalesce(p_prices[n], x.amount) = x.amount
      AND (SELECT p.unit FROM cv.price p WHERE p.version = x.tariff) IS DISTINCT FROM 'audio_second'
  ), ended AS (
    UPDATE cv.job x SET state = 'completed', lease = NULL, worker = NULL, finished_at = locked_at, price = y.amount,
      object = p_objects[y.n], content_type = p_content_types[y.n], audio_bytes = p_bytes[y.n],
      duration_ms = p_durations_ms[y.n], sha256 = p_sha256s[y.n], audio_until = locked_at + p_keep
      FROM y WHERE x.id = y.id
  ), spent AS (
    INSERT INTO cv.transfer SELECT y.owner, y.seq, y.id, y.slot, 'held', 'spent', y.amount, y.bucket, y.period, p_worker,
      'post', y.at, y.hash FROM y
  )
  UPDATE cv.wallet x SET seq = y.seq, head = y.hash, held = x.held - y.amount, spent = x.spent + y.amount,
      open_jobs = x.open_jobs - 1
    FROM y WHERE x.owner = y.owner RETURNING y.id, p_attempts[y.n], 'completed';
  GET DIAGNOSTICS plain = ROW_COUNT;
  IF plain = cardinality(p_ids) THEN RETURN; END IF;

  FOREACH n IN ARRAY ARRAY(
    SELECT t.n FROM unnest(p_ids) WITH ORDINALITY AS t(id, n) JOIN cv.job x ON x.id = t.id
    WHERE x.finished_at IS DISTINCT FROM locked_at ORDER BY x.owner, t.id
  ) LOOP
    IF owner_now IS DISTINCT FROM owners[n] THEN
      IF owner_now IS NOT NULL THEN w := cv.save(w); END IF;
      w := cv.take(owners[n]);
      owner_now := owners[n];
    END IF;
    id := p_ids[n]; attempt := p_attempts[n];
    -- Only a job that is processing has a worker.
    IF p_outcomes[n] = 'done' THEN
      UPDATE cv.job x SET state = 'completed', lease = NULL, worker = NULL, finished_at = clock_timestamp(),
        -- Audio sold by its length costs that, rounded up, within the hold; all else was quoted as the hold.
        price = coalesce(p_prices[n], least(x.hold, (SELECT ceil(t.amount::numeric * p_durations_ms[n] / 1000)::bigint
          FROM cv.price t WHERE t.version = x.tariff AND t.unit = 'audio_second'))),
        object = p_objects[n], content_type = p_content_types[n], audio_bytes = p_bytes[n],
        duration_ms = p_durations_ms[n], sha256 = p_sha256s[n], audio_until = clock_timestamp() + p_keep
        WHERE x.id = p_ids[n] AND x.attempt = p_attempts[n] AND x.worker = p_worker RETURNING x.price,
          cv.hold_slot(x.bucket) + 10, x.bucket, NOT x.split AND x.hold > 0 AND x.price = x.hold INTO due, slot, bucket, whole;
      IF NOT FOUND THEN result := 'fenced'; RETURN NEXT; CONTINUE; END IF;
      IF whole THEN
        w := cv.enter(w, p_ids[n], slot, 'held', 'spent', due, bucket, p_worker, 'post');
      ELSE
        w := cv.settle(w, p_ids[n], due, p_worker);
      END IF;
      w.open_jobs := w.open_jobs - 1;
      result := 'completed'; RETURN NEXT; CONTINUE;
    END IF;
    SELECT x.tries INTO tries FROM cv.job x
      WHERE x.id = p_ids[n] AND x.attempt = p_attempts[n] AND x.worker = p_worker FOR UPDATE;
    IF NOT FOUND THEN result := 'fenced'; RETURN NEXT; CONTINUE; END IF;
    IF p_outcomes[n] = 'refuse' OR (p_outcomes[n] = 'retry' AND tries >= p_tries_max) THEN
      w := cv.close_job(w, p_ids[n], 'failed', coalesce(p_codes[n], 'failed'), 0, p_worker);
      result := 'failed';
    ELSIF p_outcomes[n] = 'retry' THEN
      PERFORM cv.requeue(p_ids[n], 0, 0.2 * 2 ^ tries * interval '1 second');
      result := 'queued';
    ELSIF p_outcomes[n] = 'hand_back' THEN
      PERFORM cv.requeue(p_ids[n], 1, interval '0');
      result := 'queued';
    ELSE
      RAISE EXCEPTION 'unknown outcome %', p_outcomes[n] USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN NEXT;
  END LOOP;
  IF owner_now IS NOT NULL THEN w := cv.save(w); END IF;
END $$;


ALTER FUNCTION cv.finish(p_ids uuid[], p_attempts integer[], p_outcomes text[], p_codes text[], p_prices bigint[], p_objects text[], p_content_types text[], p_bytes bigint[], p_durations_ms bigint[], p_sha256s bytea[], p_worker text, p_tries_max integer, p_keep interval) OWNER TO cv_owner;

--
-- Name: forget_audio(uuid[]); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.forget_audio(p_jobs uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  UPDATE cv.job SET object = NULL, params = jsonb_set(params, '{text}', '""')
  WHERE id = ANY(p_jobs) AND audio_until < clock_timestamp() $$;


ALTER FUNCTION cv.forget_audio(p_jobs uuid[]) OWNER TO cv_owner;

--
-- Name: forget_keys(integer); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.forget_keys(p_limit integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  DELETE FROM cv.idempotency WHERE (owner, key) IN (
    SELECT owner, key FROM cv.idempotency WHERE at < statement_timestamp() - interval '24 hours'
    ORDER BY at LIMIT p_limit FOR UPDATE SKIP LOCKED) $$;


ALTER FUNCTION cv.forget_keys(p_limit integer) OWNER TO cv_owner;

--
-- Name: forget_texts(interval, integer); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.forget_texts(p_keep interval, p_limit integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  UPDATE cv.job SET params = jsonb_set(params, '{text}', '""') WHERE id = ANY(ARRAY(
    SELECT id FROM cv.job WHERE code IS NOT NULL AND params ->> 'text' <> ''
      AND finished_at < statement_timestamp() - p_keep ORDER BY finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED)) $$;


ALTER FUNCTION cv.forget_texts(p_keep interval, p_limit integer) OWNER TO cv_owner;

--
-- Name: grant_credits(uuid, uuid, bigint, text, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.grant_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = p_owner AND ref = p_ref AND slot = 0) THEN
    RETURN 'replayed';
  END IF;
  IF w.closed THEN RETURN 'closed'; END IF;
  w := cv.save(cv.enter(w, p_ref, 0, 'issued', 'paid', p_amount, 'paid', p_actor, p_reason));
  PERFORM cv.record_act(p_ref, p_actor, 'grant', p_owner, p_reason, jsonb_build_object('amount', p_amount));
  RETURN 'granted';
END $$;


ALTER FUNCTION cv.grant_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text) OWNER TO cv_owner;

--
-- Name: hear(uuid); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.hear(p_job uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  UPDATE cv.job SET heard = true WHERE id = p_job AND NOT heard AND state IN ('queued', 'processing') $$;


ALTER FUNCTION cv.hear(p_job uuid) OWNER TO cv_owner;

--
-- Name: hold(cv.wallet, uuid, bigint); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.hold(w cv.wallet, p_ref uuid, p_amount bigint) RETURNS cv.wallet
    LANGUAGE plpgsql
    AS $$
DECLARE from_free bigint := CASE WHEN w.unlimited THEN 0 ELSE least(w.free, p_amount) END;
BEGIN
  IF w.unlimited AND p_amount > 0 THEN
    RETURN cv.enter(w, p_ref, 12, 'issued', 'held', p_amount, 'issued', 'api', 'hold');
  END IF;
  IF from_free > 0 THEN
    w := cv.enter(w, p_ref, 10, 'free', 'held', from_free, 'free', 'api', 'hold');
  END IF;
  IF p_amount > from_free THEN
    w := cv.enter(w, p_ref, 11, 'paid', 'held', p_amount - from_free, 'paid', 'api', 'hold');
  END IF;
  RETURN w;
END $$;


ALTER FUNCTION cv.hold(w cv.wallet, p_ref uuid, p_amount bigint) OWNER TO cv_owner;

--
-- Name: hold_slot(cv.bucket); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.hold_slot(bucket cv.bucket) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE bucket WHEN 'free' THEN 10 WHEN 'paid' THEN 11 ELSE 12 END $$;


ALTER FUNCTION cv.hold_slot(bucket cv.bucket) OWNER TO cv_owner;

--
-- Name: transfer; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.transfer (
    owner uuid NOT NULL,
    seq bigint NOT NULL,
    ref uuid NOT NULL,
    slot smallint NOT NULL,
    src cv.bucket NOT NULL,
    dst cv.bucket NOT NULL,
    amount cv.moved NOT NULL,
    bucket cv.bucket NOT NULL,
    period date NOT NULL,
    actor cv.said NOT NULL,
    reason cv.said NOT NULL,
    at timestamp with time zone NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT transfer_check CHECK ((src <> dst))
);


ALTER TABLE cv.transfer OWNER TO cv_owner;

--
-- Name: link(bytea, cv.transfer); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.link(prev bytea, t cv.transfer) RETURNS bytea
    LANGUAGE sql STABLE
    AS $$
  SELECT sha256(prev || convert_to(concat_ws('|', t.owner, t.seq, t.ref, t.slot, t.src, t.dst, t.amount,
    t.bucket, t.period - date '2000-01-01', (extract(epoch FROM t.at) * 1000000)::bigint,
    length(t.actor), t.actor, length(t.reason), t.reason), 'UTF8')) $$;


ALTER FUNCTION cv.link(prev bytea, t cv.transfer) OWNER TO cv_owner;

--
-- Name: listen(uuid); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.listen(p_job uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  UPDATE cv.job SET live = true WHERE id = p_job AND NOT live AND state IN ('queued', 'processing') $$;


ALTER FUNCTION cv.listen(p_job uuid) OWNER TO cv_owner;

--
-- Name: mark_changed(); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.mark_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  NEW.changed := pg_catalog.pg_current_xact_id();
  RETURN NEW;
END $$;


ALTER FUNCTION cv.mark_changed() OWNER TO cv_owner;

--
-- Name: month(); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.month() RETURNS date
    LANGUAGE sql
    AS $$ SELECT date_trunc('month', cv.now() AT TIME ZONE 'UTC')::date $$;


ALTER FUNCTION cv.month() OWNER TO cv_owner;

--
-- Name: now(); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.now() RETURNS timestamp with time zone
    LANGUAGE sql
    AS $$ SELECT clock_timestamp() $$;


ALTER FUNCTION cv.now() OWNER TO cv_owner;

--
-- Name: open_wallet(uuid, text, integer, bigint, boolean); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.open_wallet(p_owner uuid, p_kind text, p_tier integer, p_monthly bigint, p_unlimited boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
  INSERT INTO cv.wallet (owner, kind, tier, monthly, unlimited, period)
  VALUES (p_owner, p_kind, p_tier, p_monthly, p_unlimited, '2000-01-01');
  PERFORM cv.take(p_owner);
END $$;


ALTER FUNCTION cv.open_wallet(p_owner uuid, p_kind text, p_tier integer, p_monthly bigint, p_unlimited boolean) OWNER TO cv_owner;

--
-- Name: put_terms(cv.wallet, integer, bigint); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.put_terms(w cv.wallet, p_tier integer, p_monthly bigint) RETURNS cv.wallet
    LANGUAGE plpgsql
    AS $$
BEGIN
  w.tier := p_tier; w.monthly := p_monthly; w.next_tier := NULL; w.next_monthly := NULL;
  UPDATE cv.account SET tier = p_tier WHERE id = w.owner AND tier <> p_tier;
  RETURN w;
END $$;


ALTER FUNCTION cv.put_terms(w cv.wallet, p_tier integer, p_monthly bigint) OWNER TO cv_owner;

--
-- Name: quota(integer, bigint); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.quota(p_tier integer, p_monthly bigint) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$ SELECT coalesce(p_monthly, (SELECT monthly FROM cv.plan WHERE tier = p_tier)) $$;


ALTER FUNCTION cv.quota(p_tier integer, p_monthly bigint) OWNER TO cv_owner;

--
-- Name: record_act(uuid, text, text, uuid, text, jsonb); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.record_act(p_ref uuid, p_actor text, p_act text, p_owner uuid, p_reason text, p_details jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
  INSERT INTO cv.admin_act (ref, actor, act, owner, reason, details)
  VALUES (p_ref, p_actor, p_act, p_owner, p_reason, p_details) ON CONFLICT (ref) DO NOTHING;
  RETURN FOUND;
END $$;


ALTER FUNCTION cv.record_act(p_ref uuid, p_actor text, p_act text, p_owner uuid, p_reason text, p_details jsonb) OWNER TO cv_owner;

--
-- Name: refund(uuid, text, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.refund(p_job uuid, p_actor text, p_reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE w cv.wallet; h record; back cv.bucket; total bigint := 0;
BEGIN
  SELECT * INTO w FROM cv.take((SELECT owner FROM cv.job WHERE id = p_job));
  IF w.owner IS NULL THEN RETURN 'no_job'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = w.owner AND ref = p_job AND slot BETWEEN 40 AND 42) THEN
    RETURN 'replayed';
  END IF;
  FOR h IN SELECT slot, amount, bucket, period FROM cv.transfer
           WHERE owner = w.owner AND ref = p_job AND dst = 'spent' ORDER BY slot LOOP
    back := CASE WHEN h.bucket = 'issued' THEN 'issued' WHEN w.closed THEN 'expired'
                 WHEN h.bucket = 'free' AND h.period < w.period THEN 'paid' ELSE h.bucket END;
    w := cv.enter(w, p_job, h.slot + 20, 'spent', back, h.amount, h.bucket, p_actor, p_reason);
    total := total + h.amount;
  END LOOP;
  IF total = 0 THEN RETURN 'not_charged'; END IF;
  w := cv.save(w);
  PERFORM cv.record_act(md5('refund|' || p_job)::uuid, p_actor, 'refund', w.owner, p_reason,
                        jsonb_build_object('job', p_job, 'amount', total));
  RETURN 'refunded';
END $$;


ALTER FUNCTION cv.refund(p_job uuid, p_actor text, p_reason text) OWNER TO cv_owner;

--
-- Name: renew(uuid[], integer[], text, interval); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.renew(p_ids uuid[], p_attempts integer[], p_worker text, p_lease interval) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  WITH held AS (
    SELECT j.id FROM cv.job j JOIN unnest(p_ids, p_attempts) AS t(id, attempt) USING (id, attempt)
    WHERE j.worker = p_worker AND j.state = 'processing'
    ORDER BY j.owner, j.id FOR NO KEY UPDATE OF j)  -- the order in which `finish` locks
  UPDATE cv.job j SET lease = clock_timestamp() + p_lease FROM held WHERE j.id = held.id RETURNING j.id $$;


ALTER FUNCTION cv.renew(p_ids uuid[], p_attempts integer[], p_worker text, p_lease interval) OWNER TO cv_owner;

--
-- Name: requeue(uuid, integer, interval); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.requeue(p_job uuid, p_tries_back integer, p_delay interval) RETURNS void
    LANGUAGE sql
    AS $$
  UPDATE cv.job SET state = 'queued', lease = NULL, worker = NULL, tries = tries - p_tries_back,
    not_before = clock_timestamp() + p_delay WHERE id = p_job $$;


ALTER FUNCTION cv.requeue(p_job uuid, p_tries_back integer, p_delay interval) OWNER TO cv_owner;

--
-- Name: save(cv.wallet); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.save(w cv.wallet) RETURNS cv.wallet
    LANGUAGE plpgsql
    AS $$
BEGIN
  UPDATE cv.wallet SET tier = w.tier, monthly = w.monthly, next_tier = w.next_tier, next_monthly = w.next_monthly,
    unlimited = w.unlimited, closed = w.closed, period = w.period, seq = w.seq, head = w.head, issued = w.issued,
    free = w.free, paid = w.paid, held = w.held, spent = w.spent, expired = w.expired, open_jobs = w.open_jobs,
    next_at = w.next_at WHERE owner = w.owner;
  RETURN w;
END $$;


ALTER FUNCTION cv.save(w cv.wallet) OWNER TO cv_owner;

--
-- Name: set_price(uuid, text, text, text, bigint, timestamp with time zone, text, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.set_price(p_ref uuid, p_kind text, p_engine text, p_unit text, p_amount bigint, p_from timestamp with time zone, p_actor text, p_reason text) RETURNS TABLE(code text, version integer)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
  SELECT 'replayed', p.version INTO code, version FROM cv.price p WHERE p.ref = p_ref;
  IF FOUND THEN RETURN NEXT; RETURN; END IF;
  IF p_from < cv.now() THEN code := 'past'; RETURN NEXT; RETURN; END IF;
  INSERT INTO cv.price AS p (ref, kind, engine, unit, amount, valid_from, actor, reason)
    VALUES (p_ref, p_kind, p_engine, p_unit, p_amount, coalesce(p_from, cv.now()), p_actor, p_reason)
    RETURNING p.version INTO version;
  PERFORM cv.record_act(p_ref, p_actor, 'price', NULL, p_reason, jsonb_build_object('version', version,
    'kind', p_kind, 'engine', p_engine, 'unit', p_unit, 'amount', p_amount, 'valid_from', p_from));
  code := 'set';
  RETURN NEXT;
END $$;


ALTER FUNCTION cv.set_price(p_ref uuid, p_kind text, p_engine text, p_unit text, p_amount bigint, p_from timestamp with time zone, p_actor text, p_reason text) OWNER TO cv_owner;

--
-- Name: set_terms(uuid, uuid, integer, bigint, text, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.set_terms(p_owner uuid, p_ref uuid, p_tier integer, p_monthly bigint, p_actor text, p_reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE w cv.wallet := cv.take(p_owner); more bigint; code text;
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF w.closed THEN RETURN 'closed'; END IF;
  IF cv.quota(p_tier, NULL) IS NULL THEN RETURN 'no_plan'; END IF;
  IF NOT cv.record_act(p_ref, p_actor, 'terms', p_owner, p_reason,
                       jsonb_build_object('tier', p_tier, 'monthly', p_monthly)) THEN
    RETURN 'replayed';
  END IF;
  more := cv.quota(p_tier, p_monthly) - cv.quota(w.tier, w.monthly);
  IF more < 0 THEN
    w.next_tier := p_tier; w.next_monthly := p_monthly;
    code := 'next_month';
  ELSE
    w := cv.put_terms(w, p_tier, p_monthly);
    IF more > 0 THEN
      w := cv.enter(w, p_ref, 0, 'issued', 'free', more, 'free', p_actor, p_reason);
    END IF;
    code := 'changed';
  END IF;
  w := cv.save(w);
  RETURN code;
END $$;


ALTER FUNCTION cv.set_terms(p_owner uuid, p_ref uuid, p_tier integer, p_monthly bigint, p_actor text, p_reason text) OWNER TO cv_owner;

--
-- Name: set_unlimited(uuid, uuid, boolean, text, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.set_unlimited(p_owner uuid, p_ref uuid, p_unlimited boolean, p_actor text, p_reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF w.closed THEN RETURN 'closed'; END IF;
  IF NOT cv.record_act(p_ref, p_actor, 'unlimited', p_owner, p_reason,
                       jsonb_build_object('unlimited', p_unlimited)) THEN
    RETURN 'replayed';
  END IF;
  w.unlimited := p_unlimited;
  w := cv.save(w);
  RETURN 'changed';
END $$;


ALTER FUNCTION cv.set_unlimited(p_owner uuid, p_ref uuid, p_unlimited boolean, p_actor text, p_reason text) OWNER TO cv_owner;

--
-- Name: settle(cv.wallet, uuid, bigint, text); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.settle(w cv.wallet, p_ref uuid, p_price bigint, p_actor text) RETURNS cv.wallet
    LANGUAGE plpgsql
    AS $$
DECLARE h record; due bigint := p_price; part bigint; back cv.bucket;
BEGIN
  FOR h IN SELECT slot, amount, bucket, period FROM cv.transfer
           WHERE owner = w.owner AND ref = p_ref AND slot BETWEEN 10 AND 12 ORDER BY slot LOOP
    part := least(h.amount, due);
    due := due - part;
    IF part > 0 THEN
      w := cv.enter(w, p_ref, h.slot + 10, 'held', 'spent', part, h.bucket, p_actor, 'post');
    END IF;
    IF part < h.amount THEN
      back := CASE WHEN h.bucket = 'issued' THEN 'issued' WHEN w.closed OR (h.bucket = 'free' AND h.period < w.period)
                   THEN 'expired' ELSE h.bucket END;
      w := cv.enter(w, p_ref, h.slot + CASE WHEN part > 0 THEN 20 ELSE 10 END, 'held', back,
                    h.amount - part, h.bucket, p_actor, CASE WHEN part > 0 THEN 'rest' ELSE 'void' END);
    END IF;
  END LOOP;
  IF due > 0 THEN
    RAISE EXCEPTION 'price % is above the hold of %', p_price, p_ref USING ERRCODE = 'check_violation';
  END IF;
  RETURN w;
END $$;


ALTER FUNCTION cv.settle(w cv.wallet, p_ref uuid, p_price bigint, p_actor text) OWNER TO cv_owner;

--
-- Name: shift_clock(interval); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.shift_clock(p_by interval) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION cv.now() RETURNS timestamptz LANGUAGE sql AS %L',
                 format('SELECT clock_timestamp() + %L::interval', p_by));
END $$;


ALTER FUNCTION cv.shift_clock(p_by interval) OWNER TO cv_owner;

--
-- Name: submit(uuid[], uuid[], text[], text[], text[], text[], bigint[], integer[], bigint[], text[], bytea[], interval, integer, boolean[], uuid[], integer[]); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.submit(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[] DEFAULT '{}'::boolean[], p_api_keys uuid[] DEFAULT '{}'::uuid[], p_tariffs integer[] DEFAULT '{}'::integer[]) RETURNS TABLE(pos bigint, code text, id uuid, bucket cv.bucket, remaining bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_material TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE k record; w cv.wallet; owner_now uuid; n int; due_at timestamptz; locked_at timestamptz;
  said_at timestamptz; plain bigint;
BEGIN
  -- In the order of owners, so that two batches never wait for each other.
  PERFORM FROM cv.wallet x WHERE x.owner = ANY(p_owners) ORDER BY x.owner FOR NO KEY UPDATE;
  locked_at := clock_timestamp(); said_at := cv.now();

  -- Nearly every job is plain: it has no key, is its owner's only one here, paid from one bucket, in the wallet's
  -- month. All of those in one statement, since a statement costs as much as several rows.
  RETURN QUERY WITH y AS (
    SELECT t.n, p_ids[n] AS ref, p_holds[n] AS amount, w.owner, w.seq, w.period, w.src, w.slot, w.at,
      CASE w.src WHEN 'free' THEN w.free - p_holds[n] WHEN 'paid' THEN w.paid - p_holds[n] ELSE 0 END AS remaining,
      greatest(locked_at, w.next_at) + p_costs_us[n] * interval '1 microsecond' AS due_at,
      cv.link(w.head, ROW(w.owner, w.seq, p_ids[n], w.slot, w.src, 'held', p_holds[n], w.src, w.period, 'api', 'hold',
        w.at, NULL)::cv.transfer) AS hash
    FROM unnest(p_owners) WITH ORDINALITY AS t(owner, n), LATERAL (
      SELECT x.owner, x.seq + 1 AS seq, x.head, x.free, x.paid, x.next_at, x.period, x.closed, x.open_jobs,
        said_at AS at,
        CASE WHEN x.unlimited THEN 'issued'::cv.bucket WHEN x.free >= p_holds[n] THEN 'free'
             WHEN x.free = 0 AND x.paid >= p_holds[n] THEN 'paid' END AS src,
        CASE WHEN x.unlimited THEN 12 WHEN x.free >= p_holds[n] THEN 10 ELSE 11 END AS slot
      FROM cv.wallet x WHERE x.owner = t.owner OFFSET 0) w
    WHERE p_keys[n] IS NULL AND w.src IS NOT NULL AND p_holds[n] > 0 AND cardinality(array_positions(p_owners, t.owner)) = 1
      AND w.period >= date_trunc('month', w.at AT TIME ZONE 'UTC') AND NOT w.closed AND w.open_jobs < p_open_max
      AND (SELECT true FROM cv.job x WHERE x.id = p_ids[n]) IS NULL
  ), queued AS (
    INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, bucket, remaining, live,
                        api_key, fair_at, deadline, created_at)
    SELECT y.ref, y.owner, p_kinds[y.n], p_engines[y.n], p_lanes[y.n], p_params[y.n]::jsonb, p_characters[y.n], y.amount,
      p_tariffs[y.n], y.src, y.remaining, coalesce(p_lives[y.n], false), p_api_keys[y.n], y.due_at, locked_at + p_wait,
      locked_at FROM y
  ), held AS (
    INSERT INTO cv.transfer SELECT y.owner, y.seq, y.ref, y.slot, y.src, 'held', y.amount, y.src, y.period, 'api',
      'hold', y.at, y.hash FROM y
  )
  UPDATE cv.wallet x SET seq = y.seq, head = y.hash, held = x.held + y.amount,
      issued = CASE y.src WHEN 'issued' THEN x.issued + y.amount ELSE x.issued END,
      free = CASE y.src WHEN 'free' THEN y.remaining ELSE x.free END,
      paid = CASE y.src WHEN 'paid' THEN y.remaining ELSE x.paid END,
      open_jobs = x.open_jobs + 1, next_at = y.due_at
    FROM y WHERE x.owner = y.owner RETURNING y.n, 'queued', y.ref, y.src, y.remaining;
  GET DIAGNOSTICS plain = ROW_COUNT;
  IF plain = cardinality(p_ids) THEN RETURN; END IF;

  -- The others one by one.
  FOREACH n IN ARRAY ARRAY(
    SELECT t.n FROM unnest(p_ids, p_owners) WITH ORDINALITY AS t(id, owner, n)
    WHERE (SELECT x.created_at FROM cv.job x WHERE x.id = t.id) IS DISTINCT FROM locked_at ORDER BY t.owner, t.n
  ) LOOP
    IF owner_now IS DISTINCT FROM p_owners[n] THEN
      IF w.owner IS NOT NULL THEN w := cv.save(w); END IF;
      w := cv.take(p_owners[n]);
      owner_now := p_owners[n];
    END IF;
    pos := n; id := NULL; bucket := NULL; remaining := NULL;
    code := CASE WHEN w.owner IS NULL THEN 'no_wallet' WHEN w.closed THEN 'closed' END;
    IF code IS NOT NULL THEN RETURN NEXT; CONTINUE; END IF;

    IF p_keys[n] IS NOT NULL THEN
      SELECT i.fingerprint, x.id, x.bucket, x.remaining,
        x.state IN ('failed', 'cancelled', 'expired') OR i.at < clock_timestamp() - interval '24 hours' AS over
        INTO k FROM cv.idempotency i JOIN cv.job x ON x.id = i.job
        WHERE i.owner = p_owners[n] AND i.key = p_keys[n];
      IF k.over AND k.id <> p_ids[n] THEN  -- a key whose job came to nothing, or that is a day old, is free again
        DELETE FROM cv.idempotency i WHERE i.owner = p_owners[n] AND i.key = p_keys[n];
      ELSIF FOUND THEN
        code := CASE WHEN k.id = p_ids[n] THEN 'queued' WHEN k.fingerprint = p_fingerprints[n] THEN 'replayed'
                     ELSE 'key_reused' END;
        id := k.id; bucket := k.bucket; remaining := k.remaining;
        RETURN NEXT; CONTINUE;
      END IF;
    END IF;
    code := CASE WHEN NOT w.unlimited AND w.free + w.paid < p_holds[n] THEN 'insufficient_credits'
                 WHEN w.open_jobs >= p_open_max THEN 'too_many_waiting' END;
    IF code IS NULL THEN
      bucket := CASE WHEN w.unlimited THEN 'issued'::cv.bucket WHEN w.free >= p_holds[n] THEN 'free' ELSE 'paid' END;
      -- Fair queueing: each job is due when all its owner's earlier ones would be done.
      INSERT INTO cv.job AS x (id, owner, kind, engine, lane, params, characters, hold, tariff, bucket, remaining, split,
                               live, api_key, fair_at, deadline)
        VALUES (p_ids[n], p_owners[n], p_kinds[n], p_engines[n], p_lanes[n], p_params[n]::jsonb, p_characters[n],
                p_holds[n], p_tariffs[n], bucket, CASE bucket WHEN 'free' THEN w.free - p_holds[n]
                  WHEN 'paid' THEN w.free + w.paid - p_holds[n] ELSE 0 END,
                bucket = 'paid' AND w.free > 0, coalesce(p_lives[n], false), p_api_keys[n],
                greatest(clock_timestamp(), w.next_at) + p_costs_us[n] * interval '1 microsecond',
                clock_timestamp() + p_wait)
        ON CONFLICT DO NOTHING RETURNING 'queued', x.id, x.remaining, x.fair_at INTO code, id, remaining, due_at;
    END IF;
    IF id IS NULL THEN  -- refused, unless it is there already
      SELECT x.id, x.bucket, x.remaining INTO id, bucket, remaining FROM cv.job x
        WHERE x.id = p_ids[n] AND x.owner = p_owners[n];
      IF FOUND THEN code := 'queued';
      ELSIF code IS NULL THEN
        RAISE EXCEPTION 'job % is another owner''s', p_ids[n] USING ERRCODE = 'unique_violation';
      ELSE remaining := w.free + w.paid;
      END IF;
      RETURN NEXT; CONTINUE;
    END IF;

    w := cv.hold(w, p_ids[n], p_holds[n]);  -- leaves what the job says remains
    w.open_jobs := w.open_jobs + 1;
    w.next_at := due_at;
    IF p_keys[n] IS NOT NULL THEN
      INSERT INTO cv.idempotency (owner, key, fingerprint, job)
        VALUES (p_owners[n], p_keys[n], p_fingerprints[n], p_ids[n]);
    END IF;
    RETURN NEXT;
  END LOOP;
  IF w.owner IS NOT NULL THEN w := cv.save(w); END IF;
END $$;


ALTER FUNCTION cv.submit(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[], p_api_keys uuid[], p_tariffs integer[]) OWNER TO cv_owner;

--
-- Name: submit_batch(uuid[], uuid[], text[], text[], text[], text[], bigint[], integer[], bigint[], text[], bytea[], interval, integer, boolean[], uuid[], integer[]); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.submit_batch(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[] DEFAULT '{}'::boolean[], p_api_keys uuid[] DEFAULT '{}'::uuid[], p_tariffs integer[] DEFAULT '{}'::integer[]) RETURNS TABLE(pos bigint, code text, id uuid, bucket cv.bucket, remaining bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE i bigint;
BEGIN
  RETURN QUERY SELECT * FROM cv.submit(p_ids, p_owners, p_kinds, p_engines, p_lanes, p_params, p_holds,
    p_characters, p_costs_us, p_keys, p_fingerprints, p_wait, p_open_max, p_lives, p_api_keys, p_tariffs);
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
  FOR i IN SELECT t.n FROM unnest(p_owners) WITH ORDINALITY AS t(owner, n) ORDER BY t.owner, t.n LOOP
    BEGIN
      RETURN QUERY SELECT i, s.code, s.id, s.bucket, s.remaining FROM cv.submit(p_ids[i:i], p_owners[i:i],
        p_kinds[i:i], p_engines[i:i], p_lanes[i:i], p_params[i:i], p_holds[i:i], p_characters[i:i],
        p_costs_us[i:i], p_keys[i:i], p_fingerprints[i:i], p_wait, p_open_max, p_lives[i:i], p_api_keys[i:i],
        p_tariffs[i:i]) s;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
      pos := i; code := 'malformed'; id := NULL; bucket := NULL; remaining := NULL;
      RETURN NEXT;
    END;
  END LOOP;
END $$;


ALTER FUNCTION cv.submit_batch(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[], p_api_keys uuid[], p_tariffs integer[]) OWNER TO cv_owner;

--
-- Name: sweep(integer, integer); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.sweep(p_tries_max integer, p_limit integer) RETURNS TABLE(id uuid, engine text, result text, kind text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE r record; w cv.wallet; j cv.job; at timestamptz := clock_timestamp();  -- a constant, so an index condition
BEGIN
  FOR r IN SELECT * FROM (
      (SELECT x.id, x.owner FROM cv.job x WHERE x.state = 'processing' AND x.lease < at
       ORDER BY x.lease LIMIT p_limit)
      UNION ALL
      (SELECT x.id, x.owner FROM cv.job x WHERE x.state = 'queued' AND x.deadline < at
       ORDER BY x.deadline LIMIT p_limit)) lost ORDER BY lost.owner, lost.id LOOP
    -- A wallet somebody holds comes at the next sweep: the others' jobs are not to wait for it.
    PERFORM FROM cv.wallet WHERE owner = r.owner FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN CONTINUE; END IF;
    w := cv.take(r.owner);
    SELECT * INTO j FROM cv.job x WHERE x.id = r.id FOR UPDATE;
    id := j.id; engine := j.engine; kind := j.kind; result := NULL;
    IF j.state = 'queued' AND j.deadline < clock_timestamp() THEN
      w := cv.close_job(w, j.id, 'expired', 'waited_too_long', CASE WHEN j.heard THEN j.hold ELSE 0 END, 'sweeper');
      result := 'expired';
    ELSIF j.state = 'processing' AND j.lease < clock_timestamp() AND j.tries >= p_tries_max THEN
      w := cv.close_job(w, j.id, 'failed', 'worker_lost', 0, 'sweeper');
      result := 'failed';
    ELSIF j.state = 'processing' AND j.lease < clock_timestamp() THEN
      PERFORM cv.requeue(j.id, 0, interval '0');
      result := 'queued';
    END IF;
    w := cv.save(w);
    IF result IS NOT NULL THEN RETURN NEXT; END IF;
  END LOOP;
END $$;


ALTER FUNCTION cv.sweep(p_tries_max integer, p_limit integer) OWNER TO cv_owner;

--
-- Name: take(uuid); Type: FUNCTION; Schema: cv; Owner: cv_owner
--

CREATE FUNCTION cv.take(p_owner uuid) RETURNS cv.wallet
    LANGUAGE plpgsql
    AS $$
DECLARE w cv.wallet; month date; quota bigint; month_ref uuid;
BEGIN
  SELECT * INTO w FROM cv.wallet WHERE owner = p_owner FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  month := cv.month();
  IF month > w.period THEN
    month_ref := md5('month|' || p_owner || '|' || (month - date '2000-01-01'))::uuid;
    IF w.free > 0 THEN
      w := cv.enter(w, month_ref, 4, 'free', 'expired', w.free, 'free', 'system', 'month_end');
    END IF;
    w.period := month;
    IF w.next_tier IS NOT NULL THEN
      w := cv.put_terms(w, w.next_tier, w.next_monthly);
    END IF;
    quota := cv.quota(w.tier, w.monthly);
    IF quota > 0 AND NOT w.closed THEN
      w := cv.enter(w, month_ref, 3, 'issued', 'free', quota, 'free', 'system', 'monthly_credits');
    END IF;
    w := cv.save(w);  -- here, since a caller that refuses saves nothing
  END IF;
  RETURN w;
END $$;


ALTER FUNCTION cv.take(p_owner uuid) OWNER TO cv_owner;

--
-- Name: account; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.account (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind cv.user_type NOT NULL,
    email text,
    name text,
    password_hash text,
    tier smallint DEFAULT 1 NOT NULL,
    admin boolean DEFAULT false NOT NULL,
    suspended boolean DEFAULT false NOT NULL,
    token_epoch integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed xid8 DEFAULT '0'::xid8 NOT NULL,
    CONSTRAINT account_email_check CHECK ((email = lower(email)))
);


ALTER TABLE cv.account OWNER TO cv_owner;

--
-- Name: admin_act; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.admin_act (
    ref uuid NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor cv.said NOT NULL,
    act text NOT NULL,
    owner uuid,
    reason cv.said NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL
);


ALTER TABLE cv.admin_act OWNER TO cv_owner;

--
-- Name: alembic_version; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.alembic_version (
    version_num character varying(32) NOT NULL
);


ALTER TABLE cv.alembic_version OWNER TO cv_owner;

--
-- Name: api_key; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.api_key (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    account uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    digest bytea NOT NULL,
    sealed bytea,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_used_at timestamp with time zone,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    personal boolean DEFAULT false NOT NULL,
    changed xid8 DEFAULT '0'::xid8 NOT NULL
);


ALTER TABLE cv.api_key OWNER TO cv_owner;

--
-- Name: plan; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.plan (
    tier smallint NOT NULL,
    name text NOT NULL,
    monthly cv.micro NOT NULL
);


ALTER TABLE cv.plan OWNER TO cv_owner;

--
-- Name: balance; Type: VIEW; Schema: cv; Owner: cv_owner
--

CREATE VIEW cv.balance AS
 SELECT w.owner,
    w.kind,
    p.name AS plan,
    p.tier,
    t.monthly,
        CASE
            WHEN (NOT t.stale) THEN (w.free)::bigint
            WHEN w.closed THEN (0)::bigint
            ELSE (t.monthly)::bigint
        END AS free,
    w.paid,
    w.held,
    w.spent,
    w.unlimited,
    w.closed,
    ((m.month + '1 mon'::interval) AT TIME ZONE 'UTC'::text) AS resets_at
   FROM cv.wallet w,
    LATERAL ( SELECT cv.month() AS month) m,
    LATERAL ( SELECT ((m.month > w.period) AND (w.next_tier IS NOT NULL)) AS due) n,
    (LATERAL ( SELECT
                CASE
                    WHEN n.due THEN w.next_tier
                    ELSE w.tier
                END AS tier) e
     JOIN cv.plan p USING (tier)),
    LATERAL ( SELECT (m.month > w.period) AS stale,
            COALESCE(
                CASE
                    WHEN n.due THEN w.next_monthly
                    ELSE w.monthly
                END, p.monthly) AS monthly) t;


ALTER VIEW cv.balance OWNER TO cv_owner;

--
-- Name: chain_breaks; Type: VIEW; Schema: cv; Owner: cv_owner
--

CREATE VIEW cv.chain_breaks AS
 SELECT q.owner,
    q.seq
   FROM ( SELECT t.*::cv.transfer AS this,
            t.owner,
            t.seq,
            t.hash,
            lag(t.hash, 1, '\x00'::bytea) OVER (PARTITION BY t.owner ORDER BY t.seq) AS prev
           FROM cv.transfer t) q
  WHERE (q.hash IS DISTINCT FROM cv.link(q.prev, q.this))
UNION ALL
 SELECT w.owner,
    w.seq
   FROM (cv.wallet w
     LEFT JOIN cv.transfer t ON (((t.owner = w.owner) AND (t.seq = w.seq))))
  WHERE (w.head IS DISTINCT FROM COALESCE(t.hash, '\x00'::bytea));


ALTER VIEW cv.chain_breaks OWNER TO cv_owner;

--
-- Name: checkpoint; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.checkpoint (
    owner uuid NOT NULL,
    seq bigint NOT NULL,
    head bytea NOT NULL,
    issued bigint NOT NULL,
    free bigint NOT NULL,
    paid bigint NOT NULL,
    held bigint NOT NULL,
    spent bigint NOT NULL,
    expired bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


ALTER TABLE cv.checkpoint OWNER TO cv_owner;

--
-- Name: engine; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.engine (
    name text NOT NULL,
    worker text NOT NULL,
    capabilities jsonb NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


ALTER TABLE cv.engine OWNER TO cv_owner;

--
-- Name: false_checkpoints; Type: VIEW; Schema: cv; Owner: cv_owner
--

CREATE VIEW cv.false_checkpoints AS
 SELECT c.owner,
    c.seq
   FROM (cv.checkpoint c
     LEFT JOIN cv.transfer t ON (((t.owner = c.owner) AND (t.seq = c.seq))))
  WHERE ((c.seq > 0) AND (t.hash IS DISTINCT FROM c.head));


ALTER VIEW cv.false_checkpoints OWNER TO cv_owner;

--
-- Name: idempotency; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.idempotency (
    owner uuid NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    job uuid NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT idempotency_key_check CHECK ((length(key) <= 255))
);


ALTER TABLE cv.idempotency OWNER TO cv_owner;

--
-- Name: invite; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.invite (
    digest bytea NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    tier smallint NOT NULL,
    uses_left integer NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT invite_uses_left_check CHECK ((uses_left >= 0))
);


ALTER TABLE cv.invite OWNER TO cv_owner;

--
-- Name: job; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.job (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    kind text NOT NULL,
    engine text NOT NULL,
    lane text NOT NULL,
    params jsonb NOT NULL,
    characters integer NOT NULL,
    hold cv.micro NOT NULL,
    tariff integer,
    price cv.micro,
    bucket cv.bucket,
    remaining bigint NOT NULL,
    split boolean DEFAULT false NOT NULL,
    state cv.job_state DEFAULT 'queued'::text NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    worker text,
    lease timestamp with time zone,
    not_before timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    fair_at timestamp with time zone NOT NULL,
    deadline timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    code text,
    object text,
    content_type text,
    audio_bytes bigint,
    duration_ms bigint,
    sha256 bytea,
    audio_until timestamp with time zone,
    api_key uuid,
    live boolean DEFAULT false NOT NULL,
    heard boolean DEFAULT false NOT NULL
)
WITH (fillfactor='70');


ALTER TABLE cv.job OWNER TO cv_owner;

--
-- Name: leg; Type: VIEW; Schema: cv; Owner: cv_owner
--

CREATE VIEW cv.leg AS
 SELECT transfer.owner,
    transfer.seq,
    transfer.ref,
    transfer.at,
    transfer.src AS bucket,
    (- (transfer.amount)::bigint) AS amount,
    transfer.actor,
    transfer.reason
   FROM cv.transfer
UNION ALL
 SELECT transfer.owner,
    transfer.seq,
    transfer.ref,
    transfer.at,
    transfer.dst AS bucket,
    transfer.amount,
    transfer.actor,
    transfer.reason
   FROM cv.transfer;


ALTER VIEW cv.leg OWNER TO cv_owner;

--
-- Name: password_reset; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.password_reset (
    digest bytea NOT NULL,
    account uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);


ALTER TABLE cv.password_reset OWNER TO cv_owner;

--
-- Name: price; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.price (
    version integer NOT NULL,
    kind text NOT NULL,
    engine text NOT NULL,
    unit text NOT NULL,
    amount cv.micro NOT NULL,
    valid_from timestamp with time zone NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ref uuid NOT NULL,
    actor cv.said NOT NULL,
    reason cv.said NOT NULL,
    CONSTRAINT price_engine_check CHECK ((engine <> ''::text)),
    CONSTRAINT price_kind_check CHECK ((kind <> ''::text)),
    CONSTRAINT price_unit_check CHECK ((unit = ANY (ARRAY['request'::text, '1000_characters'::text, 'audio_second'::text])))
);


ALTER TABLE cv.price OWNER TO cv_owner;

--
-- Name: price_now; Type: VIEW; Schema: cv; Owner: cv_owner
--

CREATE VIEW cv.price_now AS
 SELECT DISTINCT ON (kind, engine) version,
    kind,
    engine,
    unit,
    amount,
    valid_from
   FROM cv.price
  WHERE (valid_from <= cv.now())
  ORDER BY kind, engine, valid_from DESC, version DESC;


ALTER VIEW cv.price_now OWNER TO cv_owner;

--
-- Name: price_version_seq; Type: SEQUENCE; Schema: cv; Owner: cv_owner
--

ALTER TABLE cv.price ALTER COLUMN version ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME cv.price_version_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: recon; Type: VIEW; Schema: cv; Owner: cv_owner
--

CREATE VIEW cv.recon AS
 WITH told AS (
         SELECT transfer.owner,
            max(transfer.seq) AS seq,
            count(*) AS n,
            sum(((transfer.amount)::bigint * (((transfer.src = 'issued'::cv.bucket))::integer - ((transfer.dst = 'issued'::cv.bucket))::integer))) AS issued,
            sum(((transfer.amount)::bigint * (((transfer.dst = 'free'::cv.bucket))::integer - ((transfer.src = 'free'::cv.bucket))::integer))) AS free,
            sum(((transfer.amount)::bigint * (((transfer.dst = 'paid'::cv.bucket))::integer - ((transfer.src = 'paid'::cv.bucket))::integer))) AS paid,
            sum(((transfer.amount)::bigint * (((transfer.dst = 'held'::cv.bucket))::integer - ((transfer.src = 'held'::cv.bucket))::integer))) AS held,
            sum(((transfer.amount)::bigint * (((transfer.dst = 'spent'::cv.bucket))::integer - ((transfer.src = 'spent'::cv.bucket))::integer))) AS spent,
            sum(((transfer.amount)::bigint * (((transfer.dst = 'expired'::cv.bucket))::integer - ((transfer.src = 'expired'::cv.bucket))::integer))) AS expired
           FROM cv.transfer
          GROUP BY transfer.owner
        ), holds AS (
         SELECT transfer.owner,
            transfer.ref,
            sum((transfer.amount)::bigint) FILTER (WHERE ((transfer.slot >= 10) AND (transfer.slot <= 12))) AS hold,
            COALESCE(sum((transfer.amount)::bigint) FILTER (WHERE (transfer.src = 'held'::cv.bucket)), (0)::numeric) AS resolved,
            COALESCE(sum((transfer.amount)::bigint) FILTER (WHERE ((transfer.src = 'held'::cv.bucket) AND (transfer.dst = 'spent'::cv.bucket))), (0)::numeric) AS spent
           FROM cv.transfer
          WHERE ((transfer.slot >= 10) AND (transfer.slot <= 39))
          GROUP BY transfer.owner, transfer.ref
        ), open AS (
         SELECT job.owner,
            count(*) AS n
           FROM cv.job
          WHERE ((job.state)::text = ANY (ARRAY['queued'::text, 'processing'::text]))
          GROUP BY job.owner
        )
 SELECT 'projection differs from transfers'::text AS what,
    (w.owner)::text AS id
   FROM (cv.wallet w
     LEFT JOIN told USING (owner))
  WHERE (((((((w.seq IS DISTINCT FROM COALESCE(told.seq, (0)::bigint)) OR ((w.issued)::numeric IS DISTINCT FROM COALESCE(told.issued, (0)::numeric))) OR ((w.free)::numeric IS DISTINCT FROM COALESCE(told.free, (0)::numeric))) OR ((w.paid)::numeric IS DISTINCT FROM COALESCE(told.paid, (0)::numeric))) OR ((w.held)::numeric IS DISTINCT FROM COALESCE(told.held, (0)::numeric))) OR ((w.spent)::numeric IS DISTINCT FROM COALESCE(told.spent, (0)::numeric))) OR ((w.expired)::numeric IS DISTINCT FROM COALESCE(told.expired, (0)::numeric)))
UNION ALL
 SELECT 'gap in the sequence'::text AS what,
    (told.owner)::text AS id
   FROM told
  WHERE (told.n <> told.seq)
UNION ALL
 SELECT 'job and hold differ'::text AS what,
    (COALESCE(j.id, h.ref))::text AS id
   FROM (cv.job j
     FULL JOIN holds h ON (((h.owner = j.owner) AND (h.ref = j.id))))
  WHERE ((COALESCE((j.hold)::bigint, ('-1'::integer)::bigint))::numeric <> COALESCE(h.hold, (0)::numeric))
UNION ALL
 SELECT 'job state and credit differ'::text AS what,
    (j.id)::text AS id
   FROM (cv.job j
     LEFT JOIN holds h ON (((h.owner = j.owner) AND (h.ref = j.id))))
  WHERE ((COALESCE(h.resolved, (0)::numeric) <> (
        CASE
            WHEN (j.price IS NULL) THEN (0)::bigint
            ELSE (j.hold)::bigint
        END)::numeric) OR (COALESCE(h.spent, (0)::numeric) <> (COALESCE((j.price)::bigint, (0)::bigint))::numeric) OR (((j.price)::bigint > 0) AND (((j.state)::text = 'failed'::text) OR (((j.state)::text = ANY (ARRAY['cancelled'::text, 'expired'::text])) AND (NOT j.heard)))))
UNION ALL
 SELECT 'job state, lease and price differ'::text AS what,
    (j.id)::text AS id
   FROM cv.job j
  WHERE ((((j.state)::text = 'processing'::text) <> (j.lease IS NOT NULL)) OR (((j.state)::text = 'processing'::text) <> (j.worker IS NOT NULL)) OR (((j.state)::text = ANY (ARRAY['queued'::text, 'processing'::text])) <> (j.price IS NULL)) OR ((j.price)::bigint > (j.hold)::bigint))
UNION ALL
 SELECT 'no wallet'::text AS what,
    (lost.owner)::text AS id
   FROM ((
                 SELECT job.owner
                   FROM cv.job
                UNION
                 SELECT transfer.owner
                   FROM cv.transfer
        ) EXCEPT
         SELECT wallet.owner
           FROM cv.wallet) lost
UNION ALL
 SELECT 'open jobs differ'::text AS what,
    (w.owner)::text AS id
   FROM (cv.wallet w
     LEFT JOIN open o USING (owner))
  WHERE ((w.open_jobs)::integer <> COALESCE(o.n, (0)::bigint))
UNION ALL
 SELECT 'append-only trigger is not always on'::text AS what,
    (((g.at)::text || ' '::text) || g.name) AS id
   FROM ( VALUES ('cv.transfer'::regclass,'append_only_rows'::text), ('cv.transfer'::regclass,'append_only_table'::text), ('cv.wallet'::regclass,'append_only_rows'::text), ('cv.wallet'::regclass,'append_only_table'::text), ('cv.checkpoint'::regclass,'append_only_rows'::text), ('cv.checkpoint'::regclass,'append_only_table'::text), ('cv.price'::regclass,'append_only_rows'::text), ('cv.price'::regclass,'append_only_table'::text), ('cv.admin_act'::regclass,'append_only_rows'::text), ('cv.admin_act'::regclass,'append_only_table'::text)) g(at, name)
  WHERE (NOT (EXISTS ( SELECT
           FROM pg_trigger
          WHERE ((pg_trigger.tgrelid = (g.at)::oid) AND (pg_trigger.tgname = g.name) AND (pg_trigger.tgenabled = 'A'::"char")))));


ALTER VIEW cv.recon OWNER TO cv_owner;

--
-- Name: routines; Type: TABLE; Schema: cv; Owner: cv_owner
--

CREATE TABLE cv.routines (
    one boolean DEFAULT true NOT NULL,
    digest text NOT NULL,
    CONSTRAINT routines_one_check CHECK (one)
);


ALTER TABLE cv.routines OWNER TO cv_owner;

--
-- Data for Name: account; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.account (id, kind, email, name, password_hash, tier, admin, suspended, token_epoch, created_at, changed) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 'registered', 'person0@example.org', 'Person 0', NULL, 1, false, false, 0, '2026-11-30 16:13:05.50982+00', '0');
INSERT INTO cv.account (id, kind, email, name, password_hash, tier, admin, suspended, token_epoch, created_at, changed) VALUES ('ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 'registered', 'person1@example.org', 'Person 1', NULL, 1, false, false, 0, '2026-11-30 16:13:05.628416+00', '0');
INSERT INTO cv.account (id, kind, email, name, password_hash, tier, admin, suspended, token_epoch, created_at, changed) VALUES ('6a028454-a31c-5e87-bd7a-7d05e3bed9fa', 'registered', 'person2@example.org', 'Person 2', NULL, 1, false, false, 0, '2026-11-30 16:13:05.735591+00', '0');


--
-- Data for Name: admin_act; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.admin_act (ref, at, actor, act, owner, reason, details) VALUES ('762b01f8-96c2-41d6-8fea-cd2a8f71cdab', '2026-11-30 16:13:05.613832+00', 'shop', 'grant', '9f6cac03-d811-563a-8565-e63b162f861c', 'sale', '{"amount": 9000000}');
INSERT INTO cv.admin_act (ref, at, actor, act, owner, reason, details) VALUES ('fa796179-b7d1-4579-b773-b25344e0d66d', '2026-11-30 16:13:05.710306+00', 'shop', 'grant', 'ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 'sale', '{"amount": 9000000}');
INSERT INTO cv.admin_act (ref, at, actor, act, owner, reason, details) VALUES ('cdf0ff21-63ae-4146-9330-6c09d515458c', '2026-11-30 16:13:05.77709+00', 'shop', 'grant', '6a028454-a31c-5e87-bd7a-7d05e3bed9fa', 'sale', '{"amount": 9000000}');
INSERT INTO cv.admin_act (ref, at, actor, act, owner, reason, details) VALUES ('6c576d67-e0a3-fce6-a9b1-539772a2fbe4', '2026-11-30 16:13:06.237576+00', 'shop', 'refund', '9f6cac03-d811-563a-8565-e63b162f861c', 'gift', '{"job": "52119f19-70a5-44ae-b625-279d9f69aa53", "amount": 1000000}');


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.alembic_version (version_num) VALUES ('0001');


--
-- Data for Name: api_key; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.api_key (id, account, name, prefix, digest, sealed, scopes, created_at, last_used_at, expires_at, revoked_at, personal, changed) VALUES ('958c8a2f-3052-43ae-b9bd-c03897ca948b', '9f6cac03-d811-563a-8565-e63b162f861c', 'personal', 'cv_live', '\x0000000000000000000000000000000000000000000000000000000000000000', NULL, '{speech}', '2026-11-30 16:13:05.511431+00', NULL, NULL, NULL, true, '0');
INSERT INTO cv.api_key (id, account, name, prefix, digest, sealed, scopes, created_at, last_used_at, expires_at, revoked_at, personal, changed) VALUES ('680e2bd4-deda-4699-bcad-8fc4eae2ea97', 'ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 'personal', 'cv_live', '\x0101010101010101010101010101010101010101010101010101010101010101', NULL, '{speech}', '2026-11-30 16:13:05.643076+00', NULL, NULL, NULL, true, '0');
INSERT INTO cv.api_key (id, account, name, prefix, digest, sealed, scopes, created_at, last_used_at, expires_at, revoked_at, personal, changed) VALUES ('1ae27646-1339-4040-8014-a7a799a8a1bb', '6a028454-a31c-5e87-bd7a-7d05e3bed9fa', 'personal', 'cv_live', '\x0202020202020202020202020202020202020202020202020202020202020202', NULL, '{speech}', '2026-11-30 16:13:05.744411+00', NULL, NULL, NULL, true, '0');


--
-- Data for Name: checkpoint; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.checkpoint (owner, seq, head, issued, free, paid, held, spent, expired, at) VALUES ('6a028454-a31c-5e87-bd7a-7d05e3bed9fa', 2, '\xcbf3de239b70f8a35103836cdc7c7ebf2003647870c5a060204c252090d11a2e', 69000000, 60000000, 9000000, 0, 0, 0, '2026-11-30 16:13:05.813117+00');
INSERT INTO cv.checkpoint (owner, seq, head, issued, free, paid, held, spent, expired, at) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 2, '\xfe5024b52171ba555821ecd8a331fbd11ef67aa4924020b7690878675dabc9d3', 69000000, 60000000, 9000000, 0, 0, 0, '2026-11-30 16:13:05.813238+00');
INSERT INTO cv.checkpoint (owner, seq, head, issued, free, paid, held, spent, expired, at) VALUES ('ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 2, '\x99cacf99ac9cee3f009dfec594dac2801a97ff72eb5fe6e9cdf697a6f6101cf4', 69000000, 60000000, 9000000, 0, 0, 0, '2026-11-30 16:13:05.813241+00');


--
-- Data for Name: engine; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--



--
-- Data for Name: idempotency; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.idempotency (owner, key, fingerprint, job, at) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 'once', '\x66', '52119f19-70a5-44ae-b625-279d9f69aa53', '2026-11-30 16:13:05.911254+00');


--
-- Data for Name: invite; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--



--
-- Data for Name: job; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, bucket, remaining, split, state, attempt, tries, worker, lease, not_before, fair_at, deadline, created_at, started_at, finished_at, code, object, content_type, audio_bytes, duration_ms, sha256, audio_until, api_key, live, heard) VALUES ('8384e66c-4935-436e-84bc-91cb90b6d047', '9f6cac03-d811-563a-8565-e63b162f861c', 'speech', 'espeak', 'ryan', '{"text": "none", "pitch": 0.0, "speed": 1.0, "voice": "ryan", "format": "wav", "rate_hz": 0, "language": "en-US", "request_id": "", "bitrate_kbps": 0}', 4, 1000000, 1, NULL, 'free', 55000000, false, 'processing', 1, 1, 'w1', '2026-12-12 05:59:46.029812+00', '-infinity', '2026-11-30 16:13:05.915596+00', '2058-08-08 17:59:45.911802+00', '2026-11-30 16:13:05.911802+00', '2026-11-30 16:13:06.029812+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false);
INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, bucket, remaining, split, state, attempt, tries, worker, lease, not_before, fair_at, deadline, created_at, started_at, finished_at, code, object, content_type, audio_bytes, duration_ms, sha256, audio_until, api_key, live, heard) VALUES ('324c28f3-1aac-4866-be6a-51c4c63603ed', '9f6cac03-d811-563a-8565-e63b162f861c', 'speech', 'espeak', 'ryan', '{"text": "hand_back", "pitch": 0.0, "speed": 1.0, "voice": "ryan", "format": "wav", "rate_hz": 0, "language": "en-US", "request_id": "", "bitrate_kbps": 0}', 9, 1000000, 1, NULL, 'free', 56000000, false, 'queued', 1, 0, NULL, NULL, '2026-11-30 16:13:06.061966+00', '2026-11-30 16:13:05.914596+00', '2058-08-08 17:59:45.911741+00', '2026-11-30 16:13:05.911741+00', '2026-11-30 16:13:06.029812+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false);
INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, bucket, remaining, split, state, attempt, tries, worker, lease, not_before, fair_at, deadline, created_at, started_at, finished_at, code, object, content_type, audio_bytes, duration_ms, sha256, audio_until, api_key, live, heard) VALUES ('52119f19-70a5-44ae-b625-279d9f69aa53', '9f6cac03-d811-563a-8565-e63b162f861c', 'speech', 'espeak', 'ryan', '{"text": "done", "pitch": 0.0, "speed": 1.0, "voice": "ryan", "format": "wav", "rate_hz": 0, "language": "en-US", "request_id": "", "bitrate_kbps": 0}', 4, 1000000, 1, 1000000, 'free', 59000000, false, 'completed', 1, 1, NULL, NULL, '-infinity', '2026-11-30 16:13:05.911596+00', '2058-08-08 17:59:45.910598+00', '2026-11-30 16:13:05.9106+00', '2026-11-30 16:13:06.029812+00', '2026-11-30 16:13:06.062382+00', NULL, NULL, NULL, NULL, NULL, NULL, '2030-01-31 01:59:46.062384+00', NULL, false, false);
INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, bucket, remaining, split, state, attempt, tries, worker, lease, not_before, fair_at, deadline, created_at, started_at, finished_at, code, object, content_type, audio_bytes, duration_ms, sha256, audio_until, api_key, live, heard) VALUES ('815dc186-adb1-4eff-b372-e702186d74c1', '9f6cac03-d811-563a-8565-e63b162f861c', 'speech', 'espeak', 'ryan', '{"text": "refuse", "pitch": 0.0, "speed": 1.0, "voice": "ryan", "format": "wav", "rate_hz": 0, "language": "en-US", "request_id": "", "bitrate_kbps": 0}', 6, 1000000, 1, 0, 'free', 58000000, false, 'failed', 1, 1, NULL, NULL, '-infinity', '2026-11-30 16:13:05.912596+00', '2058-08-08 17:59:45.911571+00', '2026-11-30 16:13:05.911572+00', '2026-11-30 16:13:06.029812+00', '2026-11-30 16:13:06.063216+00', 'nothing_to_say', NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false);
INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, bucket, remaining, split, state, attempt, tries, worker, lease, not_before, fair_at, deadline, created_at, started_at, finished_at, code, object, content_type, audio_bytes, duration_ms, sha256, audio_until, api_key, live, heard) VALUES ('b110051f-8c56-4215-b5d6-4e76189654be', '9f6cac03-d811-563a-8565-e63b162f861c', 'speech', 'espeak', 'ryan', '{"text": "retry", "pitch": 0.0, "speed": 1.0, "voice": "ryan", "format": "wav", "rate_hz": 0, "language": "en-US", "request_id": "", "bitrate_kbps": 0}', 5, 1000000, 1, NULL, 'free', 57000000, false, 'queued', 1, 1, NULL, NULL, '2026-11-30 16:13:06.464065+00', '2026-11-30 16:13:05.913596+00', '2058-08-08 17:59:45.911672+00', '2026-11-30 16:13:05.911673+00', '2026-11-30 16:13:06.029812+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false);
INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, bucket, remaining, split, state, attempt, tries, worker, lease, not_before, fair_at, deadline, created_at, started_at, finished_at, code, object, content_type, audio_bytes, duration_ms, sha256, audio_until, api_key, live, heard) VALUES ('afc5497c-e8a3-432e-a3f6-f1b67b2bc15d', 'ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 'speech', 'espeak', 'ryan', '{"text": "expire", "pitch": 0.0, "speed": 1.0, "voice": "ryan", "format": "wav", "rate_hz": 0, "language": "en-US", "request_id": "", "bitrate_kbps": 0}', 6, 1000000, 1, 0, 'free', 59000000, false, 'expired', 0, 0, NULL, NULL, '-infinity', '2026-11-30 16:13:05.941573+00', '2026-11-30 16:13:05.940573+00', '2026-11-30 16:13:05.940573+00', NULL, '2026-11-30 16:13:06.119196+00', 'waited_too_long', NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false);
INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, bucket, remaining, split, state, attempt, tries, worker, lease, not_before, fair_at, deadline, created_at, started_at, finished_at, code, object, content_type, audio_bytes, duration_ms, sha256, audio_until, api_key, live, heard) VALUES ('c8b07ea5-c093-4e80-bafb-921dfd690cfd', '9f6cac03-d811-563a-8565-e63b162f861c', 'speech', 'espeak', 'ryan', '{"text": "cancel", "pitch": 0.0, "speed": 1.0, "voice": "ryan", "format": "wav", "rate_hz": 0, "language": "en-US", "request_id": "", "bitrate_kbps": 0}', 6, 1000000, 1, 0, 'free', 54000000, false, 'cancelled', 0, 0, NULL, NULL, '-infinity', '2026-11-30 16:13:05.916596+00', '2058-08-08 17:59:45.911859+00', '2026-11-30 16:13:05.911859+00', NULL, '2026-11-30 16:13:06.205114+00', 'cancelled', NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false);
INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, bucket, remaining, split, state, attempt, tries, worker, lease, not_before, fair_at, deadline, created_at, started_at, finished_at, code, object, content_type, audio_bytes, duration_ms, sha256, audio_until, api_key, live, heard) VALUES ('9462376f-626c-4a52-a537-a4faf6e043f9', '9f6cac03-d811-563a-8565-e63b162f861c', 'speech', 'espeak', 'ryan', '{"text": "listen", "pitch": 0.0, "speed": 1.0, "voice": "ryan", "format": "wav", "rate_hz": 0, "language": "en-US", "request_id": "", "bitrate_kbps": 0}', 6, 1000000, 1, 1000000, 'free', 53000000, false, 'cancelled', 0, 0, NULL, NULL, '-infinity', '2026-11-30 16:13:05.917596+00', '2058-08-08 17:59:45.911914+00', '2026-11-30 16:13:05.911914+00', NULL, '2026-11-30 16:13:06.210629+00', 'cancelled', NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, true);


--
-- Data for Name: password_reset; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--



--
-- Data for Name: plan; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.plan (tier, name, monthly) VALUES (1, 'free', 60000000);
INSERT INTO cv.plan (tier, name, monthly) VALUES (2, 'pro', 10000000000);


--
-- Data for Name: price; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.price (version, kind, engine, unit, amount, valid_from, at, ref, actor, reason) OVERRIDING SYSTEM VALUE VALUES (1, '*', '*', 'request', 1000000, '2000-01-01 00:00:00+00', '2026-11-30 16:13:05.211252+00', '00000000-0000-0000-0000-000000000000', 'migration', 'default');


--
-- Data for Name: routines; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.routines (one, digest) VALUES (true, '39e37c345c527e6258afaafa637154282728b903ae0aacfcd86dce42e4c0b11f');


--
-- Data for Name: transfer; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 1, '9dbc7994-7e48-743b-38e8-a9082a747055', 3, 'issued', 'free', 60000000, 'free', '2026-11-01', 'system', 'monthly_credits', '2026-11-30 16:13:05.550609+00', '\x34be95e9ca22bcd2c7525ba90b0bdcfcd60c7a106249740a8e6ed0d84ecd577a');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 2, '762b01f8-96c2-41d6-8fea-cd2a8f71cdab', 0, 'issued', 'paid', 9000000, 'paid', '2026-11-01', 'shop', 'sale', '2026-11-30 16:13:05.613161+00', '\xfe5024b52171ba555821ecd8a331fbd11ef67aa4924020b7690878675dabc9d3');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 1, '71cc8121-ec15-1d6d-ed49-012bc24aef91', 3, 'issued', 'free', 60000000, 'free', '2026-11-01', 'system', 'monthly_credits', '2026-11-30 16:13:05.708862+00', '\x9cb9d5e2fa4db1213e3e1833925f97c80a5bf8eed9673a4619f50d4b2aeaef1d');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 2, 'fa796179-b7d1-4579-b773-b25344e0d66d', 0, 'issued', 'paid', 9000000, 'paid', '2026-11-01', 'shop', 'sale', '2026-11-30 16:13:05.710019+00', '\x99cacf99ac9cee3f009dfec594dac2801a97ff72eb5fe6e9cdf697a6f6101cf4');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('6a028454-a31c-5e87-bd7a-7d05e3bed9fa', 1, '71983804-6653-520a-2cb5-2c92e0ab41c1', 3, 'issued', 'free', 60000000, 'free', '2026-11-01', 'system', 'monthly_credits', '2026-11-30 16:13:05.745264+00', '\x782738c59c28ff80cf94f731067ce922f6cdf0e37411f90b5f2df249e5dc716d');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('6a028454-a31c-5e87-bd7a-7d05e3bed9fa', 2, 'cdf0ff21-63ae-4146-9330-6c09d515458c', 0, 'issued', 'paid', 9000000, 'paid', '2026-11-01', 'shop', 'sale', '2026-11-30 16:13:05.776653+00', '\xcbf3de239b70f8a35103836cdc7c7ebf2003647870c5a060204c252090d11a2e');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 3, '52119f19-70a5-44ae-b625-279d9f69aa53', 10, 'free', 'held', 1000000, 'free', '2026-11-01', 'api', 'hold', '2026-11-30 16:13:05.911092+00', '\x5aba803e69022c1f60023bcccf741716c259f8f0e6528f587ad67f69df85158c');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 4, '815dc186-adb1-4eff-b372-e702186d74c1', 10, 'free', 'held', 1000000, 'free', '2026-11-01', 'api', 'hold', '2026-11-30 16:13:05.911609+00', '\x16bf7a9bae5ae9e087de8182df233aefa98dce2e52c9d8fa9bf4731f63397119');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 5, 'b110051f-8c56-4215-b5d6-4e76189654be', 10, 'free', 'held', 1000000, 'free', '2026-11-01', 'api', 'hold', '2026-11-30 16:13:05.911692+00', '\x030e5d583645d0e3b2f8af2448031d7ad05d2335201b7e37cc6e2ca31580748e');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 6, '324c28f3-1aac-4866-be6a-51c4c63603ed', 10, 'free', 'held', 1000000, 'free', '2026-11-01', 'api', 'hold', '2026-11-30 16:13:05.91176+00', '\x5e21e91c5e6608cd84b7d79fde0c0112ad7e91e5176e35c739bf23fb1300c4c3');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 7, '8384e66c-4935-436e-84bc-91cb90b6d047', 10, 'free', 'held', 1000000, 'free', '2026-11-01', 'api', 'hold', '2026-11-30 16:13:05.911817+00', '\xf02dafb9be434d0847aeb656dcb03615a382171e7df8c07e147db7ed8944922d');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 8, 'c8b07ea5-c093-4e80-bafb-921dfd690cfd', 10, 'free', 'held', 1000000, 'free', '2026-11-01', 'api', 'hold', '2026-11-30 16:13:05.911873+00', '\x3e23b868d7a4dcccf3ee9b4e91b482ba632ac1b8f97614be00fae6308598ac2d');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 9, '9462376f-626c-4a52-a537-a4faf6e043f9', 10, 'free', 'held', 1000000, 'free', '2026-11-01', 'api', 'hold', '2026-11-30 16:13:05.91193+00', '\xed1ca88d475f6ab515cd4a16c02f48e8f33bf618c4f10f79da16a37faaea13c3');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 3, 'afc5497c-e8a3-432e-a3f6-f1b67b2bc15d', 10, 'free', 'held', 1000000, 'free', '2026-11-01', 'api', 'hold', '2026-11-30 16:13:05.940574+00', '\x1a1c8e64f4b45b7920cef6cb23f1bc804c982851cdbc117b033da9dd6aceacb6');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 10, '52119f19-70a5-44ae-b625-279d9f69aa53', 20, 'held', 'spent', 1000000, 'free', '2026-11-01', 'w1', 'post', '2026-11-30 16:13:06.062548+00', '\x996342e671de83417d4d3c16690329d3855bfbf6a9d048221c20e43e4a285aac');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 11, '815dc186-adb1-4eff-b372-e702186d74c1', 20, 'held', 'free', 1000000, 'free', '2026-11-01', 'w1', 'void', '2026-11-30 16:13:06.063827+00', '\x887969ac9fe5144407a33a9e269b8832ba339d107892f69a70694159455e8131');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 4, 'afc5497c-e8a3-432e-a3f6-f1b67b2bc15d', 20, 'held', 'free', 1000000, 'free', '2026-11-01', 'sweeper', 'void', '2026-11-30 16:13:06.119334+00', '\x98921077dabad0d4ef17e14ca2a65b3a62761205ac4f0751377ebe72c2fb641d');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 12, 'c8b07ea5-c093-4e80-bafb-921dfd690cfd', 20, 'held', 'free', 1000000, 'free', '2026-11-01', 'person', 'void', '2026-11-30 16:13:06.205518+00', '\xf0f3dda91b895122a6b6326f634ed776a5efe81ba8dd135d3b086c8eeb823b89');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 13, '9462376f-626c-4a52-a537-a4faf6e043f9', 20, 'held', 'spent', 1000000, 'free', '2026-11-01', 'person', 'post', '2026-11-30 16:13:06.210762+00', '\x7282a6522ca32a41948a753f7cb2efca56bf4789dd48850b881402eefc7a1413');
INSERT INTO cv.transfer (owner, seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 14, '52119f19-70a5-44ae-b625-279d9f69aa53', 40, 'spent', 'free', 1000000, 'free', '2026-11-01', 'shop', 'gift', '2026-11-30 16:13:06.23729+00', '\x55156a7813623b432a687d1b5a694d2f62e5fd1d9650339e3a8df860b98331fe');


--
-- Data for Name: wallet; Type: TABLE DATA; Schema: cv; Owner: cv_owner
--

INSERT INTO cv.wallet (owner, kind, tier, monthly, next_tier, next_monthly, unlimited, closed, period, seq, head, issued, free, paid, held, spent, expired, open_jobs, next_at) VALUES ('6a028454-a31c-5e87-bd7a-7d05e3bed9fa', 'registered', 1, NULL, NULL, NULL, false, false, '2026-11-01', 2, '\xcbf3de239b70f8a35103836cdc7c7ebf2003647870c5a060204c252090d11a2e', 69000000, 60000000, 9000000, 0, 0, 0, 0, '-infinity');
INSERT INTO cv.wallet (owner, kind, tier, monthly, next_tier, next_monthly, unlimited, closed, period, seq, head, issued, free, paid, held, spent, expired, open_jobs, next_at) VALUES ('ca9ce264-6e4e-5a5b-a0bb-2c0dbb570bee', 'registered', 1, NULL, NULL, NULL, false, false, '2026-11-01', 4, '\x98921077dabad0d4ef17e14ca2a65b3a62761205ac4f0751377ebe72c2fb641d', 69000000, 60000000, 9000000, 0, 0, 0, 0, '2026-11-30 16:13:05.941573+00');
INSERT INTO cv.wallet (owner, kind, tier, monthly, next_tier, next_monthly, unlimited, closed, period, seq, head, issued, free, paid, held, spent, expired, open_jobs, next_at) VALUES ('9f6cac03-d811-563a-8565-e63b162f861c', 'registered', 1, NULL, NULL, NULL, false, false, '2026-11-01', 14, '\x55156a7813623b432a687d1b5a694d2f62e5fd1d9650339e3a8df860b98331fe', 69000000, 56000000, 9000000, 3000000, 1000000, 0, 3, '2026-11-30 16:13:05.917596+00');


--
-- Name: price_version_seq; Type: SEQUENCE SET; Schema: cv; Owner: cv_owner
--

SELECT pg_catalog.setval('cv.price_version_seq', 1, true);


--
-- Name: account account_email_taken; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.account
    ADD CONSTRAINT account_email_taken UNIQUE (email);


--
-- Name: account account_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);


--
-- Name: admin_act admin_act_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.admin_act
    ADD CONSTRAINT admin_act_pkey PRIMARY KEY (ref);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: api_key api_key_digest_key; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.api_key
    ADD CONSTRAINT api_key_digest_key UNIQUE (digest);


--
-- Name: api_key api_key_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);


--
-- Name: checkpoint checkpoint_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (owner, seq);


--
-- Name: engine engine_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.engine
    ADD CONSTRAINT engine_pkey PRIMARY KEY (name, worker);


--
-- Name: idempotency idempotency_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (owner, key);


--
-- Name: invite invite_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.invite
    ADD CONSTRAINT invite_pkey PRIMARY KEY (digest);


--
-- Name: job job_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (id);


--
-- Name: password_reset password_reset_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.password_reset
    ADD CONSTRAINT password_reset_pkey PRIMARY KEY (digest);


--
-- Name: plan plan_name_key; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.plan
    ADD CONSTRAINT plan_name_key UNIQUE (name);


--
-- Name: plan plan_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.plan
    ADD CONSTRAINT plan_pkey PRIMARY KEY (tier);


--
-- Name: price price_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.price
    ADD CONSTRAINT price_pkey PRIMARY KEY (version);


--
-- Name: price price_ref_key; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.price
    ADD CONSTRAINT price_ref_key UNIQUE (ref);


--
-- Name: routines routines_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.routines
    ADD CONSTRAINT routines_pkey PRIMARY KEY (one);


--
-- Name: transfer transfer_owner_ref_slot_key; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.transfer
    ADD CONSTRAINT transfer_owner_ref_slot_key UNIQUE (owner, ref, slot);


--
-- Name: transfer transfer_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.transfer
    ADD CONSTRAINT transfer_pkey PRIMARY KEY (owner, seq);


--
-- Name: wallet wallet_pkey; Type: CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.wallet
    ADD CONSTRAINT wallet_pkey PRIMARY KEY (owner);


--
-- Name: account_changed; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX account_changed ON cv.account USING btree (changed);


--
-- Name: admin_act_at; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX admin_act_at ON cv.admin_act USING btree (at DESC);


--
-- Name: admin_act_owner; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX admin_act_owner ON cv.admin_act USING btree (owner, at DESC);


--
-- Name: api_key_account; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX api_key_account ON cv.api_key USING btree (account, created_at);


--
-- Name: api_key_changed; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX api_key_changed ON cv.api_key USING btree (changed);


--
-- Name: idempotency_at; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX idempotency_at ON cv.idempotency USING btree (at);


--
-- Name: job_audio; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX job_audio ON cv.job USING btree (audio_until) WHERE (object IS NOT NULL);


--
-- Name: job_deadline; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX job_deadline ON cv.job USING btree (deadline) WHERE ((state)::text = 'queued'::text);


--
-- Name: job_lane; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX job_lane ON cv.job USING btree (engine, lane, fair_at) WHERE ((state)::text = 'queued'::text);


--
-- Name: job_lease; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX job_lease ON cv.job USING btree (lease) WHERE ((state)::text = 'processing'::text);


--
-- Name: job_owner; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX job_owner ON cv.job USING btree (owner, created_at DESC) INCLUDE (kind, state, price);


--
-- Name: job_ready; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX job_ready ON cv.job USING btree (engine, fair_at) WHERE ((state)::text = 'queued'::text);


--
-- Name: job_text; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX job_text ON cv.job USING btree (finished_at) WHERE ((code IS NOT NULL) AND ((params ->> 'text'::text) <> ''::text));


--
-- Name: password_reset_account; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX password_reset_account ON cv.password_reset USING btree (account);


--
-- Name: password_reset_expires; Type: INDEX; Schema: cv; Owner: cv_owner
--

CREATE INDEX password_reset_expires ON cv.password_reset USING btree (expires_at);


--
-- Name: admin_act append_only_rows; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_rows BEFORE DELETE OR UPDATE ON cv.admin_act FOR EACH ROW EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.admin_act ENABLE ALWAYS TRIGGER append_only_rows;


--
-- Name: checkpoint append_only_rows; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_rows BEFORE DELETE OR UPDATE ON cv.checkpoint FOR EACH ROW EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.checkpoint ENABLE ALWAYS TRIGGER append_only_rows;


--
-- Name: price append_only_rows; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_rows BEFORE DELETE OR UPDATE ON cv.price FOR EACH ROW EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.price ENABLE ALWAYS TRIGGER append_only_rows;


--
-- Name: transfer append_only_rows; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_rows BEFORE DELETE OR UPDATE ON cv.transfer FOR EACH ROW EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_rows;


--
-- Name: wallet append_only_rows; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_rows BEFORE DELETE ON cv.wallet FOR EACH ROW EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.wallet ENABLE ALWAYS TRIGGER append_only_rows;


--
-- Name: admin_act append_only_table; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.admin_act FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.admin_act ENABLE ALWAYS TRIGGER append_only_table;


--
-- Name: checkpoint append_only_table; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.checkpoint FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.checkpoint ENABLE ALWAYS TRIGGER append_only_table;


--
-- Name: price append_only_table; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.price FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.price ENABLE ALWAYS TRIGGER append_only_table;


--
-- Name: transfer append_only_table; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.transfer FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.transfer ENABLE ALWAYS TRIGGER append_only_table;


--
-- Name: wallet append_only_table; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER append_only_table BEFORE TRUNCATE ON cv.wallet FOR EACH STATEMENT EXECUTE FUNCTION cv.deny();

ALTER TABLE cv.wallet ENABLE ALWAYS TRIGGER append_only_table;


--
-- Name: account marks_changes; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER marks_changes BEFORE UPDATE ON cv.account FOR EACH ROW WHEN (((((((old.kind)::text IS DISTINCT FROM (new.kind)::text) OR (old.tier IS DISTINCT FROM new.tier)) OR (old.admin IS DISTINCT FROM new.admin)) OR (old.suspended IS DISTINCT FROM new.suspended)) OR (old.token_epoch IS DISTINCT FROM new.token_epoch))) EXECUTE FUNCTION cv.mark_changed();


--
-- Name: api_key marks_changes; Type: TRIGGER; Schema: cv; Owner: cv_owner
--

CREATE TRIGGER marks_changes BEFORE UPDATE ON cv.api_key FOR EACH ROW WHEN (((((old.digest IS DISTINCT FROM new.digest) OR (old.scopes IS DISTINCT FROM new.scopes)) OR (old.expires_at IS DISTINCT FROM new.expires_at)) OR (old.revoked_at IS DISTINCT FROM new.revoked_at))) EXECUTE FUNCTION cv.mark_changed();


--
-- Name: account account_tier_fkey; Type: FK CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.account
    ADD CONSTRAINT account_tier_fkey FOREIGN KEY (tier) REFERENCES cv.plan(tier);


--
-- Name: api_key api_key_account_fkey; Type: FK CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.api_key
    ADD CONSTRAINT api_key_account_fkey FOREIGN KEY (account) REFERENCES cv.account(id);


--
-- Name: idempotency idempotency_job_fkey; Type: FK CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.idempotency
    ADD CONSTRAINT idempotency_job_fkey FOREIGN KEY (job) REFERENCES cv.job(id);


--
-- Name: invite invite_tier_fkey; Type: FK CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.invite
    ADD CONSTRAINT invite_tier_fkey FOREIGN KEY (tier) REFERENCES cv.plan(tier);


--
-- Name: password_reset password_reset_account_fkey; Type: FK CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.password_reset
    ADD CONSTRAINT password_reset_account_fkey FOREIGN KEY (account) REFERENCES cv.account(id);


--
-- Name: wallet wallet_next_tier_fkey; Type: FK CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.wallet
    ADD CONSTRAINT wallet_next_tier_fkey FOREIGN KEY (next_tier) REFERENCES cv.plan(tier);


--
-- Name: wallet wallet_tier_fkey; Type: FK CONSTRAINT; Schema: cv; Owner: cv_owner
--

ALTER TABLE ONLY cv.wallet
    ADD CONSTRAINT wallet_tier_fkey FOREIGN KEY (tier) REFERENCES cv.plan(tier);


--
-- Name: SCHEMA cv; Type: ACL; Schema: -; Owner: cv_owner
--

GRANT USAGE ON SCHEMA cv TO cv_app;


--
-- Name: FUNCTION break_off(p_job uuid, p_owner uuid, p_actor text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.break_off(p_job uuid, p_owner uuid, p_actor text) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.break_off(p_job uuid, p_owner uuid, p_actor text) TO cv_app;


--
-- Name: FUNCTION cancel(p_job uuid, p_owner uuid, p_actor text, p_heard boolean); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.cancel(p_job uuid, p_owner uuid, p_actor text, p_heard boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.cancel(p_job uuid, p_owner uuid, p_actor text, p_heard boolean) TO cv_app;


--
-- Name: FUNCTION charge(p_id uuid, p_owner uuid, p_kind text, p_engine text, p_params text, p_price bigint, p_characters integer, p_duration_ms bigint, p_key text, p_fingerprint bytea, p_within interval, p_actor text, p_tariff integer); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.charge(p_id uuid, p_owner uuid, p_kind text, p_engine text, p_params text, p_price bigint, p_characters integer, p_duration_ms bigint, p_key text, p_fingerprint bytea, p_within interval, p_actor text, p_tariff integer) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.charge(p_id uuid, p_owner uuid, p_kind text, p_engine text, p_params text, p_price bigint, p_characters integer, p_duration_ms bigint, p_key text, p_fingerprint bytea, p_within interval, p_actor text, p_tariff integer) TO cv_app;


--
-- Name: FUNCTION checkpoint(p_after uuid, p_limit integer); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.checkpoint(p_after uuid, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.checkpoint(p_after uuid, p_limit integer) TO cv_app;


--
-- Name: FUNCTION claim(p_engine text, p_lane text, p_mixed boolean, p_limit integer, p_worker text, p_lease interval); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.claim(p_engine text, p_lane text, p_mixed boolean, p_limit integer, p_worker text, p_lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.claim(p_engine text, p_lane text, p_mixed boolean, p_limit integer, p_worker text, p_lease interval) TO cv_app;


--
-- Name: TABLE wallet; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.wallet TO cv_app;


--
-- Name: FUNCTION close_job(w cv.wallet, p_job uuid, p_state text, p_code text, p_price bigint, p_actor text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.close_job(w cv.wallet, p_job uuid, p_state text, p_code text, p_price bigint, p_actor text) FROM PUBLIC;


--
-- Name: FUNCTION close_wallet(p_owner uuid, p_ref uuid, p_actor text, p_reason text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.close_wallet(p_owner uuid, p_ref uuid, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.close_wallet(p_owner uuid, p_ref uuid, p_actor text, p_reason text) TO cv_app;


--
-- Name: FUNCTION defects_since_checkpoint(p_after uuid, p_limit integer); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.defects_since_checkpoint(p_after uuid, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.defects_since_checkpoint(p_after uuid, p_limit integer) TO cv_app;


--
-- Name: FUNCTION deny(); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.deny() FROM PUBLIC;


--
-- Name: FUNCTION enter(w cv.wallet, p_ref uuid, p_slot integer, p_src cv.bucket, p_dst cv.bucket, p_amount bigint, p_bucket cv.bucket, p_actor text, p_reason text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.enter(w cv.wallet, p_ref uuid, p_slot integer, p_src cv.bucket, p_dst cv.bucket, p_amount bigint, p_bucket cv.bucket, p_actor text, p_reason text) FROM PUBLIC;


--
-- Name: FUNCTION expire_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.expire_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.expire_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text) TO cv_app;


--
-- Name: FUNCTION finish(p_ids uuid[], p_attempts integer[], p_outcomes text[], p_codes text[], p_prices bigint[], p_objects text[], p_content_types text[], p_bytes bigint[], p_durations_ms bigint[], p_sha256s bytea[], p_worker text, p_tries_max integer, p_keep interval); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.finish(p_ids uuid[], p_attempts integer[], p_outcomes text[], p_codes text[], p_prices bigint[], p_objects text[], p_content_types text[], p_bytes bigint[], p_durations_ms bigint[], p_sha256s bytea[], p_worker text, p_tries_max integer, p_keep interval) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.finish(p_ids uuid[], p_attempts integer[], p_outcomes text[], p_codes text[], p_prices bigint[], p_objects text[], p_content_types text[], p_bytes bigint[], p_durations_ms bigint[], p_sha256s bytea[], p_worker text, p_tries_max integer, p_keep interval) TO cv_app;


--
-- Name: FUNCTION forget_audio(p_jobs uuid[]); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.forget_audio(p_jobs uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.forget_audio(p_jobs uuid[]) TO cv_app;


--
-- Name: FUNCTION forget_keys(p_limit integer); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.forget_keys(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.forget_keys(p_limit integer) TO cv_app;


--
-- Name: FUNCTION forget_texts(p_keep interval, p_limit integer); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.forget_texts(p_keep interval, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.forget_texts(p_keep interval, p_limit integer) TO cv_app;


--
-- Name: FUNCTION grant_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.grant_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.grant_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text) TO cv_app;


--
-- Name: FUNCTION hear(p_job uuid); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.hear(p_job uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.hear(p_job uuid) TO cv_app;


--
-- Name: FUNCTION hold(w cv.wallet, p_ref uuid, p_amount bigint); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.hold(w cv.wallet, p_ref uuid, p_amount bigint) FROM PUBLIC;


--
-- Name: FUNCTION hold_slot(bucket cv.bucket); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.hold_slot(bucket cv.bucket) FROM PUBLIC;


--
-- Name: TABLE transfer; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.transfer TO cv_app;


--
-- Name: FUNCTION link(prev bytea, t cv.transfer); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.link(prev bytea, t cv.transfer) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.link(prev bytea, t cv.transfer) TO cv_app;


--
-- Name: FUNCTION listen(p_job uuid); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.listen(p_job uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.listen(p_job uuid) TO cv_app;


--
-- Name: FUNCTION mark_changed(); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.mark_changed() FROM PUBLIC;


--
-- Name: FUNCTION month(); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.month() FROM PUBLIC;
GRANT ALL ON FUNCTION cv.month() TO cv_app;


--
-- Name: FUNCTION now(); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.now() FROM PUBLIC;
GRANT ALL ON FUNCTION cv.now() TO cv_app;


--
-- Name: FUNCTION open_wallet(p_owner uuid, p_kind text, p_tier integer, p_monthly bigint, p_unlimited boolean); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.open_wallet(p_owner uuid, p_kind text, p_tier integer, p_monthly bigint, p_unlimited boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.open_wallet(p_owner uuid, p_kind text, p_tier integer, p_monthly bigint, p_unlimited boolean) TO cv_app;


--
-- Name: FUNCTION put_terms(w cv.wallet, p_tier integer, p_monthly bigint); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.put_terms(w cv.wallet, p_tier integer, p_monthly bigint) FROM PUBLIC;


--
-- Name: FUNCTION quota(p_tier integer, p_monthly bigint); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.quota(p_tier integer, p_monthly bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.quota(p_tier integer, p_monthly bigint) TO cv_app;


--
-- Name: FUNCTION record_act(p_ref uuid, p_actor text, p_act text, p_owner uuid, p_reason text, p_details jsonb); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.record_act(p_ref uuid, p_actor text, p_act text, p_owner uuid, p_reason text, p_details jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.record_act(p_ref uuid, p_actor text, p_act text, p_owner uuid, p_reason text, p_details jsonb) TO cv_app;


--
-- Name: FUNCTION refund(p_job uuid, p_actor text, p_reason text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.refund(p_job uuid, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.refund(p_job uuid, p_actor text, p_reason text) TO cv_app;


--
-- Name: FUNCTION renew(p_ids uuid[], p_attempts integer[], p_worker text, p_lease interval); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.renew(p_ids uuid[], p_attempts integer[], p_worker text, p_lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.renew(p_ids uuid[], p_attempts integer[], p_worker text, p_lease interval) TO cv_app;


--
-- Name: FUNCTION requeue(p_job uuid, p_tries_back integer, p_delay interval); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.requeue(p_job uuid, p_tries_back integer, p_delay interval) FROM PUBLIC;


--
-- Name: FUNCTION save(w cv.wallet); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.save(w cv.wallet) FROM PUBLIC;


--
-- Name: FUNCTION set_price(p_ref uuid, p_kind text, p_engine text, p_unit text, p_amount bigint, p_from timestamp with time zone, p_actor text, p_reason text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.set_price(p_ref uuid, p_kind text, p_engine text, p_unit text, p_amount bigint, p_from timestamp with time zone, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.set_price(p_ref uuid, p_kind text, p_engine text, p_unit text, p_amount bigint, p_from timestamp with time zone, p_actor text, p_reason text) TO cv_app;


--
-- Name: FUNCTION set_terms(p_owner uuid, p_ref uuid, p_tier integer, p_monthly bigint, p_actor text, p_reason text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.set_terms(p_owner uuid, p_ref uuid, p_tier integer, p_monthly bigint, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.set_terms(p_owner uuid, p_ref uuid, p_tier integer, p_monthly bigint, p_actor text, p_reason text) TO cv_app;


--
-- Name: FUNCTION set_unlimited(p_owner uuid, p_ref uuid, p_unlimited boolean, p_actor text, p_reason text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.set_unlimited(p_owner uuid, p_ref uuid, p_unlimited boolean, p_actor text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.set_unlimited(p_owner uuid, p_ref uuid, p_unlimited boolean, p_actor text, p_reason text) TO cv_app;


--
-- Name: FUNCTION settle(w cv.wallet, p_ref uuid, p_price bigint, p_actor text); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.settle(w cv.wallet, p_ref uuid, p_price bigint, p_actor text) FROM PUBLIC;


--
-- Name: FUNCTION shift_clock(p_by interval); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.shift_clock(p_by interval) FROM PUBLIC;


--
-- Name: FUNCTION submit(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[], p_api_keys uuid[], p_tariffs integer[]); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.submit(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[], p_api_keys uuid[], p_tariffs integer[]) FROM PUBLIC;


--
-- Name: FUNCTION submit_batch(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[], p_api_keys uuid[], p_tariffs integer[]); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.submit_batch(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[], p_api_keys uuid[], p_tariffs integer[]) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.submit_batch(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[], p_params text[], p_holds bigint[], p_characters integer[], p_costs_us bigint[], p_keys text[], p_fingerprints bytea[], p_wait interval, p_open_max integer, p_lives boolean[], p_api_keys uuid[], p_tariffs integer[]) TO cv_app;


--
-- Name: FUNCTION sweep(p_tries_max integer, p_limit integer); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.sweep(p_tries_max integer, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION cv.sweep(p_tries_max integer, p_limit integer) TO cv_app;


--
-- Name: FUNCTION take(p_owner uuid); Type: ACL; Schema: cv; Owner: cv_owner
--

REVOKE ALL ON FUNCTION cv.take(p_owner uuid) FROM PUBLIC;


--
-- Name: TABLE account; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT,INSERT ON TABLE cv.account TO cv_app;


--
-- Name: COLUMN account.email; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT UPDATE(email) ON TABLE cv.account TO cv_app;


--
-- Name: COLUMN account.name; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT UPDATE(name) ON TABLE cv.account TO cv_app;


--
-- Name: COLUMN account.password_hash; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT UPDATE(password_hash) ON TABLE cv.account TO cv_app;


--
-- Name: COLUMN account.suspended; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT UPDATE(suspended) ON TABLE cv.account TO cv_app;


--
-- Name: COLUMN account.token_epoch; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT UPDATE(token_epoch) ON TABLE cv.account TO cv_app;


--
-- Name: TABLE admin_act; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.admin_act TO cv_app;


--
-- Name: TABLE api_key; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE cv.api_key TO cv_app;


--
-- Name: TABLE plan; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.plan TO cv_app;


--
-- Name: TABLE balance; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.balance TO cv_app;


--
-- Name: TABLE chain_breaks; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.chain_breaks TO cv_app;


--
-- Name: TABLE checkpoint; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.checkpoint TO cv_app;


--
-- Name: TABLE engine; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE cv.engine TO cv_app;


--
-- Name: TABLE false_checkpoints; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.false_checkpoints TO cv_app;


--
-- Name: TABLE invite; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT,INSERT,UPDATE ON TABLE cv.invite TO cv_app;


--
-- Name: TABLE job; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.job TO cv_app;


--
-- Name: TABLE leg; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.leg TO cv_app;


--
-- Name: TABLE password_reset; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE cv.password_reset TO cv_app;


--
-- Name: TABLE price; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.price TO cv_app;


--
-- Name: TABLE price_now; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.price_now TO cv_app;


--
-- Name: TABLE recon; Type: ACL; Schema: cv; Owner: cv_owner
--

GRANT SELECT ON TABLE cv.recon TO cv_app;


--
-- PostgreSQL database dump complete
--


