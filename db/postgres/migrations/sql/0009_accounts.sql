-- Whether the address is its owner's was shown by a mail's token: of a verification or of a reset. `verification_due`:
-- opened while CODEVOICE_EMAIL_VERIFICATION was `required`; its free credits wait for that.
ALTER TABLE cv.account ADD COLUMN verified_at timestamptz, ADD COLUMN verification_due boolean NOT NULL DEFAULT false;

-- False: an operator made the token and handed it over, so that it shows nothing of the address.
ALTER TABLE cv.password_reset ADD COLUMN by_mail boolean NOT NULL DEFAULT true;

-- Invitations are named by an id, since the code itself is kept as a digest only. `uses`: all there were.
ALTER TABLE cv.invite ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, ADD COLUMN uses integer,
  ADD COLUMN revoked_at timestamptz;
UPDATE cv.invite SET uses = uses_left;

-- Log-ins that were logged out of, until the last of their tokens would have expired.
CREATE TABLE cv.ended_session (
  account uuid NOT NULL REFERENCES cv.account,
  session uuid NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (account, session)
);

-- Ends one log-in of an account: its tokens, whose longest lives for `p_life`. More than `p_max` ended ones of an account
-- are not kept: then all its tokens end.
CREATE FUNCTION cv.end_session(p_account uuid, p_session uuid, p_life interval, p_max int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE cv.account SET changed = pg_current_xact_id() WHERE id = p_account;
  DELETE FROM cv.ended_session WHERE account = p_account AND until < clock_timestamp();
  INSERT INTO cv.ended_session VALUES (p_account, p_session, clock_timestamp() + p_life) ON CONFLICT DO NOTHING;
  IF (SELECT count(*) FROM cv.ended_session WHERE account = p_account) > p_max THEN
    UPDATE cv.account SET token_epoch = token_epoch + 1 WHERE id = p_account;
    DELETE FROM cv.ended_session WHERE account = p_account;
  END IF;
END $$;

-- The address is the account's owner's. Free credits that waited for it come in the same commit, once. False where the
-- account has another address by now, or is gone.
CREATE FUNCTION cv.verify_email(p_account uuid, p_email text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.take(p_account); due boolean;
BEGIN
  SELECT verification_due INTO due FROM cv.account WHERE id = p_account AND email = p_email FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE cv.account SET verified_at = coalesce(verified_at, clock_timestamp()), verification_due = false
    WHERE id = p_account;
  IF due AND w.monthly = 0 THEN
    PERFORM cv.set_terms(p_account, md5('verified|' || p_account)::uuid, w.tier, NULL, 'system', 'email_verified');
  END IF;
  RETURN true;
END $$;

-- Forgets what people said and were told in ended jobs of a closed account: at most so many; how many there were. What a job
-- was (kind, engine, length, price) stays: the ledger's transfers are held against it.
CREATE FUNCTION cv.erase_jobs(p_owner uuid, p_limit int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE erased int;
BEGIN
  PERFORM FROM cv.wallet WHERE owner = p_owner AND closed FOR NO KEY UPDATE;  -- before the jobs, as everywhere
  IF NOT FOUND THEN RETURN 0; END IF;
  UPDATE cv.job SET params = '{}', object = NULL, audio_until = least(audio_until, clock_timestamp()), sha256 = NULL,
      api_key = NULL
    WHERE id = ANY(ARRAY(SELECT j.id FROM cv.job j
      WHERE j.owner = p_owner AND j.state NOT IN ('queued', 'processing')
        AND (j.params <> '{}' OR j.object IS NOT NULL OR j.sha256 IS NOT NULL OR j.api_key IS NOT NULL) LIMIT p_limit));
  GET DIAGNOSTICS erased = ROW_COUNT;
  RETURN erased;
END $$;

-- Forgets who a closed account was: only its id is left, by which the ledger knows it. How many keys went.
CREATE FUNCTION cv.erase_account(p_account uuid) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE keys int;
BEGIN
  PERFORM FROM cv.wallet WHERE owner = p_account AND closed FOR NO KEY UPDATE;
  IF NOT FOUND OR cv.erase_jobs(p_account, 1) > 0 OR EXISTS (
      SELECT FROM cv.job WHERE owner = p_account AND state IN ('queued', 'processing')) THEN
    RAISE EXCEPTION 'account % is not closed, or has jobs left', p_account USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  PERFORM FROM cv.account WHERE id = p_account FOR UPDATE;  -- before its keys and resets, as everywhere
  DELETE FROM cv.idempotency WHERE owner = p_account;
  DELETE FROM cv.password_reset WHERE account = p_account;
  DELETE FROM cv.ended_session WHERE account = p_account;
  DELETE FROM cv.api_key WHERE account = p_account;
  GET DIAGNOSTICS keys = ROW_COUNT;
  UPDATE cv.account SET email = NULL, name = NULL, password_hash = NULL, admin = false, suspended = true,
    verified_at = NULL, verification_due = false, token_epoch = token_epoch + 1 WHERE id = p_account;
  RETURN keys;
END $$;

REVOKE ALL ON FUNCTION cv.end_session, cv.verify_email, cv.erase_jobs, cv.erase_account FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cv.end_session, cv.verify_email, cv.erase_jobs, cv.erase_account TO cv_app;
GRANT SELECT ON cv.ended_session TO cv_app;
GRANT SELECT ON cv.idempotency TO cv_app;
