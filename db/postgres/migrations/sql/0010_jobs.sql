-- Jobs and their credit, as before, by the names of 0010_ledger.sql.

-- Holds the price of each job and queues it; arrays are parallel, the answer has a row for each `pos`.
-- Idempotent by job id (a caller who lost the answer may send the same again) and by key.
CREATE OR REPLACE FUNCTION cv.submit(p_ids uuid[], p_owners uuid[], p_kinds text[], p_engines text[], p_lanes text[],
  p_params text[], p_holds bigint[], p_characters int[], p_costs_us bigint[], p_keys text[],
  p_fingerprints bytea[], p_wait interval, p_open_max int, p_lives boolean[] DEFAULT '{}',
  p_api_keys uuid[] DEFAULT '{}', p_tariffs int[] DEFAULT '{}')
RETURNS TABLE (pos bigint, code text, id uuid, bucket cv.bucket, remaining bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
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
      cv.chain_hash(w.head, ROW(w.owner, w.seq, p_ids[n], w.slot, w.src, 'held', p_holds[n], w.src, w.period, 'api', 'hold',
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
      IF w.owner IS NOT NULL THEN w := cv.store_wallet(w); END IF;
      w := cv.lock_wallet(p_owners[n]);
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
  IF w.owner IS NOT NULL THEN w := cv.store_wallet(w); END IF;
END $$;

-- Ends or returns attempts, job and credit in one commit. Outcomes: done; refuse, where the text or file is at fault;
-- retry, where the engine or worker is; hand_back, where the try does not count. Answers for each: completed, failed,
-- queued, or fenced where the attempt is no longer the caller's.
CREATE OR REPLACE FUNCTION cv.finish_v2(p_ids uuid[], p_attempts int[], p_outcomes text[], p_codes text[], p_prices bigint[],
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
      cv.chain_hash(x.head, ROW(x.owner, x.seq, x.id, x.slot, 'held', 'spent', x.amount, x.bucket, x.period, p_worker, 'post',
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
      IF owner_now IS NOT NULL THEN w := cv.store_wallet(w); END IF;
      w := cv.lock_wallet(owners[n]);
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
        w := cv.append_transfer(w, p_ids[n], slot, 'held', 'spent', due, bucket, p_worker, 'post');
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
  IF owner_now IS NOT NULL THEN w := cv.store_wallet(w); END IF;
END $$;

-- Rescues what nobody holds any more: leases run out (requeued, or failed after `p_tries_max`) and jobs
-- that waited past their deadline (expired). Looks without locks, locks the wallet, looks again.
CREATE OR REPLACE FUNCTION cv.sweep_v2(p_tries_max int, p_limit int)
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
    w := cv.lock_wallet(r.owner);
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
    w := cv.store_wallet(w);
    IF result IS NOT NULL THEN RETURN NEXT; END IF;
  END LOOP;
END $$;

-- Cancels an owner's open job: what was given of it is paid, else its credit returns. Codes: cancelled, too_late,
-- not_found.
CREATE OR REPLACE FUNCTION cv.cancel_v2(p_job uuid, p_owner uuid, p_actor text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE w cv.wallet := cv.lock_wallet(p_owner); j cv.job;
BEGIN
  SELECT * INTO j FROM cv.job x WHERE x.id = p_job AND x.owner = p_owner FOR UPDATE;
  IF NOT FOUND THEN RETURN 'not_found'; END IF;
  IF j.state NOT IN ('queued', 'processing') THEN RETURN 'too_late'; END IF;
  w := cv.store_wallet(cv.close_job(w, p_job, 'cancelled', 'cancelled', cv.price_of_given(j), p_actor));
  RETURN 'cancelled';
END $$;

-- A worker's, the store's, the API's or the database's failure cut off what an owner was listening to: an open job
-- fails, a completed one is refunded if its audio is gone as well (else it is there to be had), and the stream is
-- counted. Codes: failed, refunded, too_late (its audio is there, it cost nothing, or was refunded before), not_found.
CREATE OR REPLACE FUNCTION cv.break_off_v2(p_job uuid, p_owner uuid, p_actor text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.lock_wallet(p_owner); j cv.job;
BEGIN
  SELECT * INTO j FROM cv.job WHERE id = p_job AND owner = p_owner FOR UPDATE;
  IF NOT FOUND THEN RETURN 'not_found'; END IF;
  IF j.state IN ('queued', 'processing') THEN
    w := cv.store_wallet(cv.close_job(w, p_job, 'failed', 'broken_off', 0, p_actor));
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

-- Charges for what was done elsewhere: a job of that kind, submitted and completed in one commit. Idempotent as
-- cv.submit is; a key older than `p_within` is free again. Codes: charged, replayed, or a refusal of cv.submit.
-- `spendable`: all that was left then, kept with the job for replays; null where unlimited.
CREATE OR REPLACE FUNCTION cv.charge(p_id uuid, p_owner uuid, p_kind text, p_engine text, p_params text, p_price bigint,
  p_characters int, p_duration_ms bigint, p_key text, p_fingerprint bytea, p_within interval, p_actor text,
  p_tariff int DEFAULT NULL)
RETURNS TABLE (code text, id uuid, bucket cv.bucket, remaining bigint, price bigint, spendable bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
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
    w := cv.close_job(cv.lock_wallet(p_owner), j.id, 'completed', NULL, p_price, p_actor);
    w := cv.store_wallet(w);
    UPDATE cv.job x SET duration_ms = p_duration_ms, params = x.params || jsonb_build_object('spendable',
      CASE WHEN NOT w.unlimited THEN w.free + w.paid END) WHERE x.id = j.id RETURNING * INTO j;
  ELSE
    code := 'replayed';
  END IF;
  price := j.price; spendable := (j.params ->> 'spendable')::bigint;
  RETURN NEXT;
END $$;
