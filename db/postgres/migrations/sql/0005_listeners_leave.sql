-- The last listener of a job that was queued for later has left. A job still queued stays live: whoever queued
-- it may be waiting for its first sound.
CREATE FUNCTION cv.unlisten(p_job uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE cv.job SET live = false WHERE id = p_job AND live AND state = 'processing' $$;
REVOKE ALL ON FUNCTION cv.unlisten FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cv.unlisten TO cv_app;
