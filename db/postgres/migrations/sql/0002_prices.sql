-- The price book: which price is in force, and a new one. What a job costs in the end is in cv.finish (0002_jobs.sql).

-- The prices in force now: for each kind and engine the version whose time began last.
CREATE OR REPLACE VIEW cv.price_now AS
SELECT DISTINCT ON (kind, engine) version, kind, engine, unit, amount, valid_from
FROM cv.price WHERE valid_from <= cv.now() ORDER BY kind, engine, valid_from DESC, version DESC;

-- Writes a new version, which holds from `p_from` (null: now) until a later one; none is ever changed. '*' is any
-- kind or engine. Once a `ref`. Codes: set, replayed, past.
CREATE OR REPLACE FUNCTION cv.set_price(p_ref uuid, p_kind text, p_engine text, p_unit text, p_amount bigint,
  p_from timestamptz, p_actor text, p_reason text)
RETURNS TABLE (code text, version int) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
