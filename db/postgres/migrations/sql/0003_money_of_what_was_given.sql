-- What a caller was given is paid for, however the job ends, unless a worker, the store, the API or the database
-- failed: contract in docs/ledger.md, "What a job costs".

-- Read before the jobs are locked: transfers are many.
CREATE TEMP TABLE refund ON COMMIT DROP AS
  SELECT ref, sum(amount) AS amount FROM cv.transfer WHERE slot BETWEEN 40 AND 42 GROUP BY ref;
ALTER TABLE cv.job ADD COLUMN given_ms bigint NOT NULL DEFAULT 0;  -- audio of this attempt that listeners were given
ALTER TABLE cv.job ADD COLUMN refunded bigint NOT NULL DEFAULT 0;  -- of its price
UPDATE cv.job j SET refunded = r.amount FROM pg_temp.refund r WHERE r.ref = j.id;
DROP INDEX cv.job_owner;
CREATE INDEX job_owner ON cv.job (owner, created_at DESC) INCLUDE (kind, state, price, refunded);  -- usage is read from it alone

-- Streams that our own failure cut off, each of them free: counted by account and day.
CREATE TABLE cv.broken_stream (
  job uuid PRIMARY KEY,
  owner uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT cv.now(),
  planned boolean NOT NULL DEFAULT false       -- an API server was told to stop
);
CREATE INDEX broken_stream_owner ON cv.broken_stream (owner, at);
CREATE INDEX broken_stream_at ON cv.broken_stream (at);

-- Workers whose leases ran out: they died or hung. Evidence of an incident.
CREATE TABLE cv.lost_worker (
  worker text PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT cv.now()
);
CREATE INDEX lost_worker_at ON cv.lost_worker (at);

-- Gives back what a job cost, and says so in the job, for whoever shows it: to where it came from; free credits of a month gone by come back as paid ones,
-- since the caller paid with something that was worth a request. Codes: refunded, replayed, not_charged, no_job.
CREATE OR REPLACE FUNCTION cv.refund(p_job uuid, p_actor text, p_reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
  UPDATE cv.job SET refunded = total WHERE id = p_job;
  PERFORM cv.record_act(md5('refund|' || p_job)::uuid, p_actor, 'refund', w.owner, p_reason,
                        jsonb_build_object('job', p_job, 'amount', total));
  RETURN 'refunded';
END $$;

-- What is due for what was given of a job that does not complete: the price of a request whole, audio by its length,
-- characters by the share of the least audio to be expected (`expected_ms`, written by the API). Never above the hold;
-- the hold, where release 0.1.0 noted that something was given and not how much.
CREATE FUNCTION cv.price_of_given(j cv.job) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN NOT j.heard THEN 0 WHEN j.given_ms = 0 THEN j.hold ELSE coalesce((
    SELECT least(j.hold, CASE p.unit
      WHEN 'audio_second' THEN ceil(p.amount::numeric * j.given_ms / 1000)
      WHEN '1000_characters' THEN ceil(j.hold::numeric * j.given_ms / nullif((j.params ->> 'expected_ms')::bigint, 0)) END)
    FROM cv.price p WHERE p.version = j.tariff), j.hold)::bigint END $$;

-- Counts a stream that our failure cut off, of a job that somebody was given audio of.
CREATE FUNCTION cv.count_broken(j cv.job) RETURNS void LANGUAGE sql AS $$
  INSERT INTO cv.broken_stream (job, owner) SELECT j.id, j.owner WHERE j.heard ON CONFLICT DO NOTHING $$;

-- Puts a job back, after `p_delay`; `p_tries_back` 1 where the try was not its own fault. What was given of the attempt
-- was cut off by our failure and counts for nothing. Release 0.1.0's workers call it too.
CREATE OR REPLACE FUNCTION cv.requeue(p_job uuid, p_tries_back int, p_delay interval) RETURNS void LANGUAGE sql AS $$
  SELECT cv.count_broken(j) FROM cv.job j WHERE j.id = p_job AND p_tries_back = 0;
  UPDATE cv.job SET state = 'queued', lease = NULL, worker = NULL, tries = tries - p_tries_back, heard = false,
    given_ms = 0, not_before = clock_timestamp() + p_delay WHERE id = p_job $$;

-- Ends or returns attempts, job and credit in one commit. Outcomes: done; refuse, where the text or file is at fault;
-- retry, where the engine or worker is; hand_back, where the try does not count. Answers for each: completed, failed,
-- queued, or fenced where the attempt is no longer the caller's.
CREATE FUNCTION cv.finish_v2(p_ids uuid[], p_attempts int[], p_outcomes text[], p_codes text[], p_prices bigint[],
  p_objects text[], p_content_types text[], p_bytes bigint[], p_durations_ms bigint[], p_sha256s bytea[],
  p_worker text, p_tries_max int, p_keep interval)
RETURNS TABLE (id uuid, attempt int, result text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE w cv.wallet; j cv.job; owner_now uuid; owners uuid[]; n int; due bigint; slot int; bucket cv.bucket; whole boolean;
  locked_at timestamptz; said_at timestamptz; plain bigint;
BEGIN
  owners := ARRAY(SELECT (SELECT x.owner FROM cv.job x WHERE x.id = t.id) FROM unnest(p_ids) AS t(id));
  PERFORM FROM cv.wallet x WHERE x.owner = ANY(owners) ORDER BY x.owner FOR NO KEY UPDATE;
  PERFORM FROM cv.job x WHERE x.id = ANY(p_ids) ORDER BY x.owner, x.id FOR NO KEY UPDATE;  -- as cv.renew locks
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
    SELECT * INTO j FROM cv.job x
      WHERE x.id = p_ids[n] AND x.attempt = p_attempts[n] AND x.worker = p_worker FOR UPDATE;
    IF NOT FOUND THEN result := 'fenced'; RETURN NEXT; CONTINUE; END IF;
    IF p_outcomes[n] = 'refuse' THEN  -- the caller's text or file: what was given of it is paid
      w := cv.close_job(w, j.id, 'failed', coalesce(p_codes[n], 'failed'), cv.price_of_given(j), p_worker);
      result := 'failed';
    ELSIF p_outcomes[n] = 'retry' AND j.tries >= p_tries_max THEN  -- our failure
      PERFORM cv.count_broken(j);
      w := cv.close_job(w, j.id, 'failed', coalesce(p_codes[n], 'failed'), 0, p_worker);
      result := 'failed';
    ELSIF p_outcomes[n] = 'retry' THEN
      PERFORM cv.requeue(j.id, 0, 0.2 * 2 ^ j.tries * interval '1 second');
      result := 'queued';
    ELSIF p_outcomes[n] = 'hand_back' THEN
      PERFORM cv.requeue(j.id, 1, interval '0');
      result := 'queued';
    ELSE
      RAISE EXCEPTION 'unknown outcome %', p_outcomes[n] USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN NEXT;
  END LOOP;
  IF owner_now IS NOT NULL THEN w := cv.save(w); END IF;
END $$;

-- Rescues what nobody holds any more: leases run out (requeued, or failed after `p_tries_max`) and jobs
-- that waited past their deadline (expired). Looks without locks, locks the wallet, looks again.
CREATE FUNCTION cv.sweep_v2(p_tries_max int, p_limit int)
RETURNS TABLE (id uuid, engine text, result text, kind text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
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
    IF j.state = 'processing' AND j.lease < clock_timestamp() THEN
      INSERT INTO cv.lost_worker (worker) VALUES (j.worker) ON CONFLICT DO NOTHING;
    END IF;
    IF j.state = 'queued' AND j.deadline < clock_timestamp() THEN
      w := cv.close_job(w, j.id, 'expired', 'waited_too_long', cv.price_of_given(j), 'sweeper');
      result := 'expired';
    ELSIF j.state = 'processing' AND j.lease < clock_timestamp() AND j.tries >= p_tries_max THEN
      PERFORM cv.count_broken(j);
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

-- Cancels an owner's open job: what was given of it is paid, else its credit returns. Codes: cancelled, too_late,
-- not_found.
CREATE FUNCTION cv.cancel_v2(p_job uuid, p_owner uuid, p_actor text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE w cv.wallet := cv.take(p_owner); j cv.job;
BEGIN
  SELECT * INTO j FROM cv.job x WHERE x.id = p_job AND x.owner = p_owner FOR UPDATE;
  IF NOT FOUND THEN RETURN 'not_found'; END IF;
  IF j.state NOT IN ('queued', 'processing') THEN RETURN 'too_late'; END IF;
  w := cv.save(cv.close_job(w, p_job, 'cancelled', 'cancelled', cv.price_of_given(j), p_actor));
  RETURN 'cancelled';
END $$;

-- A worker's, the store's, the API's or the database's failure cut off what an owner was listening to: an open job
-- fails, a completed one is refunded if its audio is gone as well (else it is there to be had), and the stream is
-- counted. Codes: failed, refunded, too_late (its audio is there, it cost nothing, or was refunded before), not_found.
CREATE FUNCTION cv.break_off_v2(p_job uuid, p_owner uuid, p_actor text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.take(p_owner); j cv.job;
BEGIN
  SELECT * INTO j FROM cv.job WHERE id = p_job AND owner = p_owner FOR UPDATE;
  IF NOT FOUND THEN RETURN 'not_found'; END IF;
  IF j.state IN ('queued', 'processing') THEN
    w := cv.save(cv.close_job(w, p_job, 'failed', 'broken_off', 0, p_actor));
  ELSIF j.object IS NOT NULL AND j.audio_until > clock_timestamp() THEN
    RETURN 'too_late';
  ELSIF cv.refund(p_job, p_actor, 'broken_off') <> 'refunded' THEN
    RETURN 'too_late';
  END IF;
  INSERT INTO cv.broken_stream (job, owner, planned) VALUES (p_job, p_owner, p_actor = 'api_stopping')
    ON CONFLICT DO NOTHING;
  DELETE FROM cv.broken_stream WHERE at < cv.now() - interval '30 days';
  DELETE FROM cv.lost_worker WHERE at < cv.now() - interval '30 days';
  RETURN CASE WHEN j.state IN ('queued', 'processing') THEN 'failed' ELSE 'refunded' END;
END $$;

-- Whether something of ours failed around `p_at`: a worker was lost, or streams of three accounts were cut off, each
-- over a day old, since new ones are to be had for nothing.
CREATE FUNCTION cv.is_incident(p_at timestamptz) RETURNS boolean LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM cv.lost_worker WHERE at BETWEEN p_at - interval '5 minutes' AND p_at + interval '5 minutes')
    OR (SELECT count(*) >= 3 FROM (SELECT DISTINCT b.owner FROM cv.broken_stream b JOIN cv.account a ON a.id = b.owner
        WHERE b.at BETWEEN p_at - interval '5 minutes' AND p_at + interval '5 minutes'
          AND a.created_at < p_at - interval '1 day' LIMIT 3) known) $$;

-- Whether an owner had more than `p_max` streams cut off today (UTC) outside incidents.
CREATE FUNCTION cv.has_too_many_refunds(p_owner uuid, p_max int) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE today timestamptz := date_trunc('day', cv.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
BEGIN
  IF (SELECT count(*) FROM cv.broken_stream WHERE owner = p_owner AND at >= today) <= p_max THEN RETURN false; END IF;
  RETURN (SELECT count(*) > p_max FROM cv.broken_stream
    WHERE owner = p_owner AND at >= today AND NOT planned AND NOT cv.is_incident(at));
END $$;

-- Audio of an attempt is about to be given to a listener, in all so much of it: committed before the first byte leaves,
-- so that no other call can take the job back as unheard. Answers heard; metered, where further audio is to be noted
-- too, since the price depends on it; superseded, where another attempt has taken over; else the state the job ended in.
CREATE FUNCTION cv.hear_v2(p_job uuid, p_attempt int, p_given_ms bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE unit text; now_in text;
BEGIN
  -- Where Postgres dies before this is on disk, the listener loses the audio, too.
  PERFORM set_config('synchronous_commit', 'off', true);
  UPDATE cv.job x SET heard = true, given_ms = greatest(x.given_ms, p_given_ms)
    WHERE x.id = p_job AND x.attempt = p_attempt AND x.state = 'processing'
    RETURNING coalesce((SELECT p.unit FROM cv.price p WHERE p.version = x.tariff), 'request') INTO unit;
  IF FOUND THEN RETURN CASE unit WHEN 'request' THEN 'heard' ELSE 'metered' END; END IF;
  SELECT x.state INTO now_in FROM cv.job x WHERE x.id = p_job;
  RETURN CASE WHEN now_in IN ('queued', 'processing') THEN 'superseded' ELSE now_in END;
END $$;

-- Every row is a defect: money and jobs do not agree, or a guard is down.
CREATE OR REPLACE VIEW cv.recon AS
WITH told AS (
  SELECT owner, max(seq) AS seq, count(*) AS n,
    sum(amount * ((src = 'issued')::int - (dst = 'issued')::int)) AS issued,
    sum(amount * ((dst = 'free')::int - (src = 'free')::int)) AS free,
    sum(amount * ((dst = 'paid')::int - (src = 'paid')::int)) AS paid,
    sum(amount * ((dst = 'held')::int - (src = 'held')::int)) AS held,
    sum(amount * ((dst = 'spent')::int - (src = 'spent')::int)) AS spent,
    sum(amount * ((dst = 'expired')::int - (src = 'expired')::int)) AS expired
  FROM cv.transfer GROUP BY owner),
holds AS (
  SELECT owner, ref, sum(amount) FILTER (WHERE slot BETWEEN 10 AND 12) AS hold,
    coalesce(sum(amount) FILTER (WHERE src = 'held'), 0) AS resolved,
    coalesce(sum(amount) FILTER (WHERE src = 'held' AND dst = 'spent'), 0) AS spent
  FROM cv.transfer WHERE slot BETWEEN 10 AND 39 GROUP BY owner, ref),
open AS (SELECT owner, count(*) AS n FROM cv.job WHERE state IN ('queued', 'processing') GROUP BY owner)
SELECT 'projection differs from transfers' AS what, w.owner::text AS id
FROM cv.wallet w LEFT JOIN told USING (owner)
WHERE (w.seq, w.issued, w.free, w.paid, w.held, w.spent, w.expired) IS DISTINCT FROM
  (coalesce(told.seq, 0), coalesce(told.issued, 0), coalesce(told.free, 0), coalesce(told.paid, 0),
   coalesce(told.held, 0), coalesce(told.spent, 0), coalesce(told.expired, 0))
UNION ALL SELECT 'gap in the sequence', owner::text FROM told WHERE n <> seq
UNION ALL SELECT 'job and hold differ', coalesce(j.id, h.ref)::text
  FROM cv.job j FULL JOIN holds h ON h.owner = j.owner AND h.ref = j.id
  WHERE coalesce(j.hold, -1) <> coalesce(h.hold, 0)
UNION ALL SELECT 'job state and credit differ', j.id::text
  FROM cv.job j LEFT JOIN holds h ON h.owner = j.owner AND h.ref = j.id
  WHERE coalesce(h.resolved, 0) <> CASE WHEN j.price IS NULL THEN 0 ELSE j.hold END
     OR coalesce(h.spent, 0) <> coalesce(j.price, 0)
     OR (j.price > 0 AND j.state IN ('failed', 'cancelled', 'expired') AND NOT j.heard)
UNION ALL SELECT 'job and refund differ', coalesce(j.id, r.ref)::text
  FROM (SELECT id, refunded FROM cv.job WHERE refunded <> 0) j FULL JOIN
    (SELECT ref, sum(amount) AS amount FROM cv.transfer WHERE slot BETWEEN 40 AND 42 GROUP BY ref) r ON r.ref = j.id
  WHERE coalesce(j.refunded, 0) <> coalesce(r.amount, 0)
UNION ALL SELECT 'job state, lease and price differ', j.id::text FROM cv.job j
  WHERE (j.state = 'processing') <> (j.lease IS NOT NULL) OR (j.state = 'processing') <> (j.worker IS NOT NULL)
     OR (j.state IN ('queued', 'processing')) <> (j.price IS NULL) OR j.price > j.hold
UNION ALL SELECT 'no wallet', owner::text FROM
  (SELECT owner FROM cv.job UNION SELECT owner FROM cv.transfer EXCEPT SELECT owner FROM cv.wallet) lost
UNION ALL SELECT 'open jobs differ', w.owner::text FROM cv.wallet w LEFT JOIN open o USING (owner)
  WHERE w.open_jobs <> coalesce(o.n, 0)
UNION ALL SELECT 'append-only trigger is not always on', g.at::text || ' ' || g.name
  FROM (VALUES ('cv.transfer'::regclass, 'append_only_rows'), ('cv.transfer', 'append_only_table'),
               ('cv.wallet', 'append_only_rows'), ('cv.wallet', 'append_only_table'),
               ('cv.checkpoint', 'append_only_rows'), ('cv.checkpoint', 'append_only_table'),
               ('cv.price', 'append_only_rows'), ('cv.price', 'append_only_table'),
               ('cv.admin_act', 'append_only_rows'), ('cv.admin_act', 'append_only_table')) g(at, name)
  WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = g.at AND tgname = g.name AND tgenabled = 'A');

REVOKE ALL ON FUNCTION cv.price_of_given, cv.count_broken, cv.finish_v2, cv.sweep_v2, cv.cancel_v2, cv.break_off_v2,
  cv.is_incident, cv.has_too_many_refunds, cv.hear_v2 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cv.finish_v2, cv.sweep_v2, cv.cancel_v2, cv.break_off_v2, cv.is_incident,
  cv.has_too_many_refunds, cv.hear_v2 TO cv_app;
GRANT SELECT ON cv.broken_stream, cv.lost_worker TO cv_app;
