-- A job that comes, or ends, alone, as most do while few ask: what cv.submit and cv.finish do with plain ones, by
-- scalars, for a fifth less of Postgres's time. Whatever is not plain is left to them. Decision 17.

-- cv.submit of one. Plain is a job without a key, paid from one bucket that keeps some if it is the free one, in the
-- wallet's month. Raises unique_violation where the same job is being written at this moment: ask again. `p_mark` is locked
-- until the commit, for a worker that was nudged ahead of it and waits; not where that one was here before.
CREATE FUNCTION cv.submit_one(p_id uuid, p_owner uuid, p_kind text, p_engine text, p_lane text, p_params text,
  p_hold bigint, p_characters int, p_cost_us bigint, p_key text, p_fingerprint bytea, p_live boolean,
  p_api_key uuid, p_tariff int, p_wait interval, p_open_max int, p_mark bigint DEFAULT NULL)
RETURNS TABLE (pos bigint, code text, id uuid, bucket cv.bucket, remaining bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE called_at timestamptz := clock_timestamp(); said_at timestamptz := cv.now(); due_at timestamptz;
  next_seq bigint; link bytea; month date;
BEGIN
  IF p_mark IS NOT NULL THEN PERFORM pg_try_advisory_xact_lock(p_mark); END IF;
  IF p_key IS NULL THEN
    -- A free bucket that is not empty pays; so it does after the hold as before, and the row itself says which it was.
    UPDATE cv.wallet x SET seq = x.seq + 1, held = x.held + p_hold, free = greatest(x.free - p_hold, 0),
        paid = CASE WHEN x.free > 0 THEN x.paid ELSE x.paid - p_hold END, open_jobs = x.open_jobs + 1,
        next_at = greatest(called_at, x.next_at) + p_cost_us * interval '1 microsecond',
        head = cv.link(x.head, ROW(x.owner, x.seq + 1, p_id, CASE WHEN x.free > 0 THEN 10::smallint ELSE 11::smallint END,
          CASE WHEN x.free > 0 THEN 'free'::cv.bucket ELSE 'paid' END, 'held'::cv.bucket, p_hold,
          CASE WHEN x.free > 0 THEN 'free'::cv.bucket ELSE 'paid' END, x.period, 'api', 'hold', said_at,
          NULL)::cv.transfer)
      WHERE x.owner = p_owner AND p_hold > 0 AND (x.free > p_hold OR (x.free = 0 AND x.paid >= p_hold))
        AND NOT x.unlimited AND NOT x.closed AND x.open_jobs < p_open_max
        AND x.period >= date_trunc('month', said_at AT TIME ZONE 'UTC')
        AND NOT EXISTS (SELECT FROM cv.job j WHERE j.id = p_id)
      RETURNING CASE WHEN x.free > 0 THEN 'free'::cv.bucket ELSE 'paid' END, CASE WHEN x.free > 0 THEN x.free ELSE x.paid END,
        x.seq, x.head, x.period, x.next_at INTO bucket, remaining, next_seq, link, month, due_at;
  END IF;
  IF next_seq IS NULL THEN
    RETURN QUERY SELECT * FROM cv.submit(ARRAY[p_id], ARRAY[p_owner], ARRAY[p_kind], ARRAY[p_engine], ARRAY[p_lane],
      ARRAY[p_params], ARRAY[p_hold], ARRAY[p_characters], ARRAY[p_cost_us], ARRAY[p_key], ARRAY[p_fingerprint], p_wait,
      p_open_max, ARRAY[p_live], ARRAY[p_api_key], ARRAY[p_tariff]);
    RETURN;
  END IF;
  INSERT INTO cv.transfer VALUES (p_owner, next_seq, p_id, cv.hold_slot(bucket), bucket, 'held', p_hold, bucket, month,
    'api', 'hold', said_at, link);
  INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, bucket, remaining, live, api_key,
                      fair_at, deadline, created_at)
    VALUES (p_id, p_owner, p_kind, p_engine, p_lane, p_params::jsonb, p_characters, p_hold, p_tariff, bucket, remaining,
      p_live, p_api_key, due_at, called_at + p_wait, called_at);
  pos := 1; code := 'queued'; id := p_id;
  RETURN NEXT;
END $$;

-- cv.finish of one. Plain is a job done at the price it was held at, from one bucket, in the wallet's month.
CREATE FUNCTION cv.finish_one(p_id uuid, p_attempt int, p_outcome text, p_code text, p_price bigint, p_object text,
  p_content_type text, p_bytes bigint, p_duration_ms bigint, p_sha256 bytea, p_worker text, p_tries_max int,
  p_keep interval)
RETURNS TABLE (id uuid, attempt int, result text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE locked_at timestamptz; said_at timestamptz; payer uuid; due bigint; source cv.bucket;
  next_seq bigint; link bytea; month date;
BEGIN
  IF p_outcome = 'done' THEN
    -- By itself, so that what follows sees what its last holder did.
    SELECT x.period INTO month FROM cv.wallet x WHERE x.owner = (SELECT j.owner FROM cv.job j WHERE j.id = p_id)
      FOR NO KEY UPDATE;
    locked_at := clock_timestamp(); said_at := cv.now();
    UPDATE cv.job x SET state = 'completed', lease = NULL, worker = NULL, finished_at = locked_at, price = x.hold,
        object = p_object, content_type = p_content_type, audio_bytes = p_bytes, duration_ms = p_duration_ms,
        sha256 = p_sha256, audio_until = locked_at + p_keep
      WHERE x.id = p_id AND x.attempt = p_attempt AND x.worker = p_worker AND NOT x.split AND x.hold > 0
        AND coalesce(p_price, x.hold) = x.hold AND month >= date_trunc('month', said_at AT TIME ZONE 'UTC')
        AND (SELECT p.unit FROM cv.price p WHERE p.version = x.tariff) IS DISTINCT FROM 'audio_second'
      RETURNING x.owner, x.hold, x.bucket INTO payer, due, source;
  END IF;
  IF payer IS NULL THEN
    RETURN QUERY SELECT * FROM cv.finish(ARRAY[p_id], ARRAY[p_attempt], ARRAY[p_outcome], ARRAY[p_code], ARRAY[p_price],
      ARRAY[p_object], ARRAY[p_content_type], ARRAY[p_bytes], ARRAY[p_duration_ms], ARRAY[p_sha256], p_worker,
      p_tries_max, p_keep);
    RETURN;
  END IF;
  UPDATE cv.wallet x SET seq = x.seq + 1, held = x.held - due, spent = x.spent + due, open_jobs = x.open_jobs - 1,
      head = cv.link(x.head, ROW(x.owner, x.seq + 1, p_id, cv.hold_slot(source) + 10, 'held', 'spent', due, source,
        x.period, p_worker, 'post', said_at, NULL)::cv.transfer)
    WHERE x.owner = payer RETURNING x.seq, x.head INTO next_seq, link;
  INSERT INTO cv.transfer VALUES (payer, next_seq, p_id, cv.hold_slot(source) + 10, 'held', 'spent', due, source, month,
    p_worker, 'post', said_at, link);
  id := p_id; attempt := p_attempt; result := 'completed';
  RETURN NEXT;
END $$;

-- cv.claim of a worker that was just woken. First it waits, so many ms at most, for the commit `p_after` marks. It says what
-- it claims, a JSON list, twice: in a notice, which leaves before its own commit, and in the answer, which follows it.
CREATE FUNCTION cv.claim_early(p_engine text, p_lane text, p_mixed boolean, p_limit int, p_worker text, p_lease interval,
  p_after bigint, p_wait_ms int)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE claimed text; patience text := current_setting('lock_timeout');
BEGIN
  IF p_after IS NOT NULL THEN
    BEGIN
      PERFORM set_config('lock_timeout', p_wait_ms::text, true), pg_advisory_xact_lock_shared(p_after),
        set_config('lock_timeout', patience, true);
    EXCEPTION WHEN lock_not_available THEN  -- another nudge follows that commit
    END;
  END IF;
  claimed := (SELECT json_agg(json_build_array(j.id, j.attempt, j.lane, j.params, j.live, j.kind, j.waited_s) ORDER BY j.fair_at)
    FROM cv.claim(p_engine, p_lane, p_mixed, p_limit, p_worker, p_lease) j);
  IF claimed IS NOT NULL THEN RAISE NOTICE USING ERRCODE = 'CV001', MESSAGE = claimed; END IF;
  RETURN coalesce(claimed, '[]');
END $$;
