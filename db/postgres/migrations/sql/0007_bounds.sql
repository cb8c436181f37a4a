-- Bytes in the store, by account: what finished jobs keep, as a sum that follows cv.job.object; and what large jobs
-- that are not over yet are expected to add.
CREATE TABLE cv.stored (
  owner uuid PRIMARY KEY,
  bytes bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE cv.expected_store (
  job uuid PRIMARY KEY,
  owner uuid NOT NULL,
  bytes bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX expected_store_owner ON cv.expected_store (owner);

CREATE FUNCTION cv.count_stored() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO cv.stored AS s VALUES (NEW.owner,
    CASE WHEN NEW.object IS NULL THEN 0 ELSE coalesce(NEW.audio_bytes, 0) END
    - CASE WHEN OLD.object IS NULL THEN 0 ELSE coalesce(OLD.audio_bytes, 0) END)
  ON CONFLICT (owner) DO UPDATE SET bytes = s.bytes + excluded.bytes;
  RETURN NULL;
END $$;
-- First the trigger, which keeps others from writing jobs until the commit; then the sums.
CREATE TRIGGER counts_stored AFTER UPDATE OF object ON cv.job FOR EACH ROW
  WHEN (OLD.object IS DISTINCT FROM NEW.object) EXECUTE FUNCTION cv.count_stored();
INSERT INTO cv.stored SELECT owner, coalesce(sum(audio_bytes), 0) FROM cv.job WHERE object IS NOT NULL GROUP BY owner;

-- Forgets audio whose objects are deleted, and the texts they spoke. The wallets first, as everywhere: who ends jobs
-- of the same owners has them locked, and the sums are written in no order.
CREATE OR REPLACE FUNCTION cv.forget_audio(p_jobs uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM cv.wallet WHERE owner = ANY(ARRAY(SELECT owner FROM cv.job WHERE id = ANY(p_jobs)))
    ORDER BY owner FOR NO KEY UPDATE;
  UPDATE cv.job SET object = NULL, params = jsonb_set(params, '{text}', '""')
    WHERE id = ANY(p_jobs) AND audio_until < clock_timestamp();
END $$;

-- Lets go of what was set aside for jobs of `p_owners` that are over, or never came.
CREATE FUNCTION cv.forget_expected(p_owners uuid[]) RETURNS void LANGUAGE sql AS $$
  DELETE FROM cv.expected_store e WHERE e.owner = ANY(p_owners) AND NOT EXISTS (
    SELECT FROM cv.job j WHERE j.id = e.job AND j.state IN ('queued', 'processing'))
    AND (e.at < clock_timestamp() - interval '1 minute' OR EXISTS (SELECT FROM cv.job j WHERE j.id = e.job)) $$;

-- Sets bytes aside for a job that is about to be submitted: `set_aside`. Where its owner would keep more than `p_max`,
-- all else that was set aside for it counted: `account_full`. Where the disk has `p_room` left for all that was set
-- aside, for whomever, and that is too little: `disk_full`; NULL: there is no disk to fill.
CREATE FUNCTION cv.expect_store(p_job uuid, p_owner uuid, p_bytes bigint, p_max bigint, p_room bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE kept bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('expect_store', 0));  -- two at once never both pass
  PERFORM cv.forget_expected(ARRAY[p_owner]);
  SELECT coalesce((SELECT s.bytes FROM cv.stored s WHERE s.owner = p_owner), 0)
    + coalesce((SELECT sum(e.bytes) FROM cv.expected_store e WHERE e.owner = p_owner), 0) INTO kept;
  IF kept + p_bytes > p_max THEN RETURN 'account_full'; END IF;
  IF (SELECT coalesce(sum(e.bytes), 0) FROM cv.expected_store e) + p_bytes > p_room THEN
    PERFORM cv.forget_expected(ARRAY(SELECT DISTINCT e.owner FROM cv.expected_store e));
    IF (SELECT coalesce(sum(e.bytes), 0) FROM cv.expected_store e) + p_bytes > p_room THEN RETURN 'disk_full'; END IF;
  END IF;
  INSERT INTO cv.expected_store (job, owner, bytes) VALUES (p_job, p_owner, p_bytes) ON CONFLICT DO NOTHING;
  RETURN 'set_aside';
END $$;

-- Lets go of what was set aside for a request that came to nothing: no job of that id is open.
CREATE FUNCTION cv.unexpect_store(p_job uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DELETE FROM cv.expected_store e WHERE e.job = p_job AND NOT EXISTS (
    SELECT FROM cv.job j WHERE j.id = p_job AND j.state IN ('queued', 'processing')) $$;

REVOKE ALL ON FUNCTION cv.count_stored, cv.forget_expected, cv.expect_store, cv.unexpect_store FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cv.expect_store, cv.unexpect_store TO cv_app;
GRANT SELECT ON cv.stored, cv.idempotency TO cv_app;
