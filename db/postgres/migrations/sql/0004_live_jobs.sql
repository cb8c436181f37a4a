-- Jobs that somebody listens to go before others: workers keep slots for them, and the API counts them.
CREATE INDEX job_live ON cv.job (engine, fair_at) WHERE live AND state IN ('queued', 'processing');

-- As cv.claim, of any lane, but jobs alone that somebody listens to.
CREATE FUNCTION cv.claim_live(p_engine text, p_limit int, p_worker text, p_lease interval)
RETURNS TABLE (id uuid, attempt int, lane text, params text, fair_at timestamptz, live boolean, kind text,
  waited_s float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE ids uuid[]; at timestamptz := clock_timestamp();
BEGIN
  ids := ARRAY(SELECT j.id FROM cv.job j
    WHERE j.engine = p_engine AND j.live AND j.state = 'queued' AND j.not_before <= at AND j.deadline > at
    ORDER BY j.fair_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
  RETURN QUERY UPDATE cv.job j SET state = 'processing', attempt = j.attempt + 1, tries = j.tries + 1,
      worker = p_worker, lease = at + p_lease, started_at = coalesce(j.started_at, at)
    WHERE j.id = ANY(ids) RETURNING j.id, j.attempt, j.lane, j.params::text, j.fair_at, j.live, j.kind,
      extract(epoch FROM at - j.created_at)::float8;
END $$;
REVOKE ALL ON FUNCTION cv.claim_live FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cv.claim_live TO cv_app;
