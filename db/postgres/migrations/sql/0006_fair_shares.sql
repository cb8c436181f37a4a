-- Fair shares of running work: while another account's job waits for an engine, an account runs at most a share of the
-- engine's slots, over all its workers; an account that runs nothing is claimed even where all slots are taken.

-- Whose jobs wait: the first and the last entry of an engine say whether they are of more than one account.
CREATE INDEX job_waiting ON cv.job (engine, owner, fair_at) WHERE state = 'queued';

-- Somebody listens to it, or did, that was submitted for nobody to listen.
ALTER TABLE cv.job ADD COLUMN overheard boolean NOT NULL DEFAULT false;

-- Somebody listens to an open job from now on.
CREATE OR REPLACE FUNCTION cv.listen(p_job uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE cv.job SET live = true, overheard = true
    WHERE id = p_job AND NOT live AND state IN ('queued', 'processing') $$;

-- The last listener of a job that was queued for later has left: it is live no more, and takes none of the engine's live
-- places. A queued one that was submitted live stays so: whoever submitted it waits for its first sound.
CREATE OR REPLACE FUNCTION cv.unlisten(p_job uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE cv.job SET live = false
    WHERE id = p_job AND live AND (state = 'processing' OR (state = 'queued' AND overheard)) $$;

-- Ends a job whose row and wallet the caller has locked. Where it never ran, its owner's later jobs do not come after the
-- time it was expected to take.
CREATE OR REPLACE FUNCTION cv.close_job(w cv.wallet, p_job uuid, p_state text, p_code text, p_price bigint, p_actor text)
RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE unspent_us bigint;
BEGIN
  UPDATE cv.job SET state = p_state, code = p_code, price = p_price, lease = NULL, worker = NULL,
    finished_at = clock_timestamp() WHERE id = p_job
    RETURNING CASE WHEN started_at IS NULL THEN (params ->> 'cost_us')::bigint END INTO unspent_us;
  w := cv.settle(w, p_job, p_price, p_actor);
  w.open_jobs := w.open_jobs - 1;
  w.next_at := w.next_at - coalesce(unspent_us, 0) * interval '1 microsecond';
  RETURN w;
END $$;

-- The owner of each attempt under way, once for each; attempts whose lease has run out do not count. Jobs under way are
-- as many as there are slots, and the lower bound passes over the index entries of all that ended longer ago.
CREATE FUNCTION cv.running(p_engine text, p_at timestamptz) RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
  SELECT r.owner FROM (SELECT x.engine, x.owner FROM cv.job x
    WHERE x.state = 'processing' AND x.lease > p_at OFFSET 0) r WHERE r.engine = p_engine $$;

-- Of `p_ids`, in fair order and locked by the caller: those within their owners' shares of `p_most` attempts; in place of
-- the others the fairest jobs of owners within theirs; and where too few of these wait, the others after all.
CREATE FUNCTION cv.within_shares(p_ids uuid[], p_engine text, p_lane text, p_live boolean, p_most int, p_at timestamptz)
RETURNS uuid[] LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE r record; busy uuid[] := ARRAY(SELECT cv.running(p_engine, p_at));
  kept uuid[] := '{}'; put_off uuid[] := '{}'; at_most uuid[] := '{}';
BEGIN
  FOR r IN SELECT x.id, x.owner FROM cv.job x WHERE x.id = ANY(p_ids) ORDER BY x.fair_at LOOP
    IF cardinality(array_positions(busy, r.owner)) < p_most THEN
      kept := kept || r.id; busy := busy || r.owner;
    ELSE
      put_off := put_off || r.id; at_most := at_most || r.owner;
    END IF;
  END LOOP;
  WHILE cardinality(kept) < cardinality(p_ids) LOOP
    SELECT x.id, x.owner INTO r FROM cv.job x
      WHERE x.engine = p_engine AND x.state = 'queued' AND x.not_before <= p_at AND x.deadline > p_at
        AND (p_lane IS NULL OR x.lane = p_lane) AND (x.live OR NOT p_live)
        AND x.owner <> ALL(at_most) AND x.id <> ALL(kept)
      ORDER BY x.fair_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    EXIT WHEN NOT FOUND;
    IF cardinality(array_positions(busy, r.owner)) < p_most THEN
      kept := kept || r.id; busy := busy || r.owner;
    ELSE
      at_most := at_most || r.owner;
    END IF;
  END LOOP;
  RETURN kept || put_off[1:cardinality(p_ids) - cardinality(kept)];
END $$;

-- Leases up to `p_limit` queued jobs, the fairest first: of `p_lane`, or of the first job's lane, or (mixed) of any; or,
-- of any lane, those alone that somebody listens to (`p_live`). While jobs of several accounts wait, an account has at
-- most `p_share_percent` of the engine's slots: `p_slots` for each worker that is present, rounded down, at least one.
-- Cheap: what runs is counted only while jobs of two accounts wait, which two probes of job_waiting show, and only for an
-- account that has more open jobs than its share; other jobs are looked for only once it is beyond it.
CREATE FUNCTION cv.claim_v2(p_engine text, p_lane text, p_mixed boolean, p_live boolean, p_limit int, p_slots int,
  p_share_percent int, p_worker text, p_lease interval)
RETURNS TABLE (id uuid, attempt int, lane text, params text, fair_at timestamptz, live boolean, kind text,
  waited_s float8, owner uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE ids uuid[]; most int; at timestamptz := clock_timestamp();
BEGIN
  IF p_lane IS NULL AND NOT p_mixed THEN
    SELECT j.lane INTO p_lane FROM cv.job j
      WHERE j.engine = p_engine AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
      ORDER BY j.fair_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN; END IF;
  END IF;
  IF p_live THEN
    ids := ARRAY(SELECT j.id FROM cv.job j
      WHERE j.engine = p_engine AND j.live AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
      ORDER BY j.fair_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
  ELSIF p_lane IS NULL THEN
    ids := ARRAY(SELECT j.id FROM cv.job j
      WHERE j.engine = p_engine AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
      ORDER BY j.fair_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
  ELSE
    ids := ARRAY(SELECT j.id FROM cv.job j
      WHERE j.engine = p_engine AND j.lane = p_lane AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
      ORDER BY j.fair_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
  END IF;
  IF cardinality(ids) = 0 THEN RETURN; END IF;

  IF (SELECT j.owner FROM cv.job j WHERE j.engine = p_engine AND j.state = 'queued' ORDER BY j.owner LIMIT 1)
      <> (SELECT j.owner FROM cv.job j WHERE j.engine = p_engine AND j.state = 'queued' ORDER BY j.owner DESC LIMIT 1) THEN
    most := greatest(1, p_slots * p_share_percent * greatest(1, (SELECT count(*) FROM cv.engine e
      WHERE e.name = p_engine AND e.seen_at > at - interval '10 seconds')) / 100);
    IF EXISTS (SELECT FROM unnest(ids) AS t(id) WHERE most <
        (SELECT w.open_jobs FROM cv.wallet w WHERE w.owner = (SELECT j.owner FROM cv.job j WHERE j.id = t.id))) THEN
      ids := cv.within_shares(ids, p_engine, p_lane, p_live, most, at);
    END IF;
  END IF;
  RETURN QUERY UPDATE cv.job j SET state = 'processing', attempt = j.attempt + 1, tries = j.tries + 1,
      worker = p_worker, lease = at + p_lease, started_at = coalesce(j.started_at, at)
    WHERE j.id = ANY(ids) RETURNING j.id, j.attempt, j.lane, j.params::text, j.fair_at, j.live, j.kind,
      extract(epoch FROM at - j.created_at)::float8, j.owner;
END $$;

-- Leases the next job of up to `p_limit` accounts that run nothing with this engine, the fairest first: for a worker
-- whose slots are taken. Of at most so many characters, where given. The accounts that wait are found by one probe of
-- job_waiting each, however many jobs each of them has.
CREATE FUNCTION cv.claim_beyond(p_engine text, p_limit int, p_characters_max int, p_worker text, p_lease interval)
RETURNS TABLE (id uuid, attempt int, lane text, params text, fair_at timestamptz, live boolean, kind text,
  waited_s float8, owner uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE ids uuid[]; busy uuid[]; at timestamptz := clock_timestamp();
BEGIN
  busy := ARRAY(SELECT DISTINCT cv.running(p_engine, at));
  ids := ARRAY(
    WITH RECURSIVE waiting(owner) AS (
      (SELECT j.owner FROM cv.job j WHERE j.engine = p_engine AND j.state = 'queued' ORDER BY j.owner LIMIT 1)
      UNION ALL
      SELECT (SELECT j.owner FROM cv.job j WHERE j.engine = p_engine AND j.state = 'queued' AND j.owner > w.owner
              ORDER BY j.owner LIMIT 1) FROM waiting w WHERE w.owner IS NOT NULL)
    SELECT f.id FROM waiting w CROSS JOIN LATERAL (SELECT j.id, j.fair_at, j.characters FROM cv.job j
      WHERE j.engine = p_engine AND j.owner = w.owner AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
      ORDER BY j.fair_at LIMIT 1) f
    WHERE w.owner <> ALL(busy) AND (p_characters_max IS NULL OR f.characters <= p_characters_max)
    ORDER BY f.fair_at LIMIT p_limit);
  ids := ARRAY(SELECT j.id FROM cv.job j WHERE j.id = ANY(ids) AND j.state = 'queued' FOR UPDATE SKIP LOCKED);
  RETURN QUERY UPDATE cv.job j SET state = 'processing', attempt = j.attempt + 1, tries = j.tries + 1,
      worker = p_worker, lease = at + p_lease, started_at = coalesce(j.started_at, at)
    WHERE j.id = ANY(ids) RETURNING j.id, j.attempt, j.lane, j.params::text, j.fair_at, j.live, j.kind,
      extract(epoch FROM at - j.created_at)::float8, j.owner;
END $$;

-- By how much an account's waiting jobs for an engine are to come later, `since` when, and when they last did.
CREATE TABLE cv.correction (
  owner uuid NOT NULL,
  engine text NOT NULL,
  later interval NOT NULL,
  since timestamptz,
  done_at timestamptz NOT NULL,
  PRIMARY KEY (owner, engine)
) WITH (fillfactor = 50);

-- Jobs took so much more engine time than was expected of them (less, where negative): their owners' later jobs for the
-- engine come so much later. Those that wait already do, too, at the next correction a second after the last: there may
-- be a thousand of them, each with its index entries.
CREATE FUNCTION cv.correct_costs(p_ids uuid[], p_more_us bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE r record; c cv.correction; at timestamptz := clock_timestamp();
BEGIN
  FOR r IN SELECT j.owner, j.engine, sum(t.us) * interval '1 microsecond' AS later
    FROM unnest(p_ids, p_more_us) AS t(id, us) CROSS JOIN LATERAL
      (SELECT x.owner, x.engine FROM cv.job x WHERE x.id = t.id OFFSET 0) j
    GROUP BY j.owner, j.engine ORDER BY j.owner, j.engine LOOP
    UPDATE cv.wallet x SET next_at = x.next_at + r.later WHERE x.owner = r.owner;
    INSERT INTO cv.correction AS x VALUES (r.owner, r.engine, r.later, at, '-infinity')
      ON CONFLICT (owner, engine) DO UPDATE SET later = x.later + excluded.later, since = coalesce(x.since, at)
      RETURNING * INTO c;
    CONTINUE WHEN c.done_at > at - interval '1 second';
    UPDATE cv.job x SET fair_at = x.fair_at + c.later WHERE x.id = ANY(ARRAY(SELECT j.id FROM cv.job j
      WHERE j.engine = r.engine AND j.owner = r.owner AND j.state = 'queued' AND j.created_at < c.since
      FOR UPDATE SKIP LOCKED));
    UPDATE cv.correction x SET later = interval '0', since = NULL, done_at = at
      WHERE x.owner = r.owner AND x.engine = r.engine;
  END LOOP;
END $$;

REVOKE ALL ON FUNCTION cv.running, cv.within_shares, cv.claim_v2, cv.claim_beyond, cv.correct_costs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cv.claim_v2, cv.claim_beyond, cv.correct_costs TO cv_app;
