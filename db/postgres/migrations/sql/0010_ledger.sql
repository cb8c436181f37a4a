-- The ledger's inner functions by names that say what they do, and all that call them: link is chain_hash, enter is
-- append_transfer, save is store_wallet, put_terms is apply_terms, take is lock_wallet. Nothing else changes. The old
-- five stay as they are for what only release 0.1.0's processes call (cv.finish, cv.sweep, cv.cancel, cv.break_off).
-- Lock order everywhere: wallets by owner, then jobs.

-- What the chain binds. Lengths come before free text, so that no two rows read the same. STABLE, as
-- concat_ws is: declared anything stricter it would not be inlined.
CREATE FUNCTION cv.chain_hash(prev bytea, t cv.transfer) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(prev || convert_to(concat_ws('|', t.owner, t.seq, t.ref, t.slot, t.src, t.dst, t.amount,
    t.bucket, t.period - date '2000-01-01', (extract(epoch FROM t.at) * 1000000)::bigint,
    length(t.actor), t.actor, length(t.reason), t.reason), 'UTF8')) $$;

-- The writer of transfers: appends one, and gives back the wallet as it then stands. In one statement, since every
-- expression of PL/pgSQL is set up anew in each transaction. The caller holds the wallet's lock and saves the
-- result. Besides it write only cv.submit and cv.finish_v2 (many wallets' at once).
CREATE FUNCTION cv.append_transfer(w cv.wallet, p_ref uuid, p_slot int, p_src cv.bucket, p_dst cv.bucket,
  p_amount bigint, p_bucket cv.bucket, p_actor text, p_reason text) RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE at timestamptz := cv.now();
BEGIN
  INSERT INTO cv.transfer VALUES (w.owner, w.seq + 1, p_ref, p_slot, p_src, p_dst, p_amount, p_bucket, w.period,
    p_actor, p_reason, at, cv.chain_hash(w.head, ROW(w.owner, w.seq + 1, p_ref, p_slot, p_src, p_dst, p_amount, p_bucket,
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

-- Writes the wallet down. Called by assignment, which is cheaper than PERFORM.
CREATE FUNCTION cv.store_wallet(w cv.wallet) RETURNS cv.wallet LANGUAGE plpgsql AS $$
BEGIN
  UPDATE cv.wallet SET tier = w.tier, monthly = w.monthly, next_tier = w.next_tier, next_monthly = w.next_monthly,
    unlimited = w.unlimited, closed = w.closed, period = w.period, seq = w.seq, head = w.head, issued = w.issued,
    free = w.free, paid = w.paid, held = w.held, spent = w.spent, expired = w.expired, open_jobs = w.open_jobs,
    next_at = w.next_at WHERE owner = w.owner;
  RETURN w;
END $$;

-- Puts terms in force; the account shows the same tier.
CREATE FUNCTION cv.apply_terms(w cv.wallet, p_tier int, p_monthly bigint) RETURNS cv.wallet LANGUAGE plpgsql AS $$
BEGIN
  w.tier := p_tier; w.monthly := p_monthly; w.next_tier := NULL; w.next_monthly := NULL;
  UPDATE cv.account SET tier = p_tier WHERE id = w.owner AND tier <> p_tier;
  RETURN w;
END $$;

-- Locks the wallet and rolls it over to this month, never back. Null when there is none.
CREATE FUNCTION cv.lock_wallet(p_owner uuid) RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE w cv.wallet; month date; quota bigint; month_ref uuid;
BEGIN
  SELECT * INTO w FROM cv.wallet WHERE owner = p_owner FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  month := cv.month();
  IF month > w.period THEN
    month_ref := md5('month|' || p_owner || '|' || (month - date '2000-01-01'))::uuid;
    IF w.free > 0 THEN
      w := cv.append_transfer(w, month_ref, 4, 'free', 'expired', w.free, 'free', 'system', 'month_end');
    END IF;
    w.period := month;
    IF w.next_tier IS NOT NULL THEN
      w := cv.apply_terms(w, w.next_tier, w.next_monthly);
    END IF;
    quota := cv.quota(w.tier, w.monthly);
    IF quota > 0 AND NOT w.closed THEN
      w := cv.append_transfer(w, month_ref, 3, 'issued', 'free', quota, 'free', 'system', 'monthly_credits');
    END IF;
    w := cv.store_wallet(w);  -- here, since a caller that refuses saves nothing
  END IF;
  RETURN w;
END $$;

CREATE OR REPLACE FUNCTION cv.open_wallet(p_owner uuid, p_kind text, p_tier int, p_monthly bigint, p_unlimited boolean)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO cv.wallet (owner, kind, tier, monthly, unlimited, period)
  VALUES (p_owner, p_kind, p_tier, p_monthly, p_unlimited, '2000-01-01');
  PERFORM cv.lock_wallet(p_owner);
END $$;

-- Holds `p_amount` for `p_ref`: free before paid, one transfer a bucket. The caller knows it is there.
CREATE OR REPLACE FUNCTION cv.hold(w cv.wallet, p_ref uuid, p_amount bigint) RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE from_free bigint := CASE WHEN w.unlimited THEN 0 ELSE least(w.free, p_amount) END;
BEGIN
  IF w.unlimited AND p_amount > 0 THEN
    RETURN cv.append_transfer(w, p_ref, 12, 'issued', 'held', p_amount, 'issued', 'api', 'hold');
  END IF;
  IF from_free > 0 THEN
    w := cv.append_transfer(w, p_ref, 10, 'free', 'held', from_free, 'free', 'api', 'hold');
  END IF;
  IF p_amount > from_free THEN
    w := cv.append_transfer(w, p_ref, 11, 'paid', 'held', p_amount - from_free, 'paid', 'api', 'hold');
  END IF;
  RETURN w;
END $$;

-- Resolves the holds of `p_ref`: takes `p_price` (free credits first), gives the rest back. Price 0 is a void.
-- A free credit given back after its month ended has expired, and so has any given back to a closed wallet.
CREATE OR REPLACE FUNCTION cv.settle(w cv.wallet, p_ref uuid, p_price bigint, p_actor text) RETURNS cv.wallet
LANGUAGE plpgsql AS $$
DECLARE h record; due bigint := p_price; part bigint; back cv.bucket;
BEGIN
  FOR h IN SELECT slot, amount, bucket, period FROM cv.transfer
           WHERE owner = w.owner AND ref = p_ref AND slot BETWEEN 10 AND 12 ORDER BY slot LOOP
    part := least(h.amount, due);
    due := due - part;
    IF part > 0 THEN
      w := cv.append_transfer(w, p_ref, h.slot + 10, 'held', 'spent', part, h.bucket, p_actor, 'post');
    END IF;
    IF part < h.amount THEN
      back := CASE WHEN h.bucket = 'issued' THEN 'issued' WHEN w.closed OR (h.bucket = 'free' AND h.period < w.period)
                   THEN 'expired' ELSE h.bucket END;
      w := cv.append_transfer(w, p_ref, h.slot + CASE WHEN part > 0 THEN 20 ELSE 10 END, 'held', back,
                    h.amount - part, h.bucket, p_actor, CASE WHEN part > 0 THEN 'rest' ELSE 'void' END);
    END IF;
  END LOOP;
  IF due > 0 THEN
    RAISE EXCEPTION 'price % is above the hold of %', p_price, p_ref USING ERRCODE = 'check_violation';
  END IF;
  RETURN w;
END $$;

-- The acts below happen once a `ref` and answer done, replayed, or why not: no_wallet, closed, …

-- Gives paid credits.
CREATE OR REPLACE FUNCTION cv.grant_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.lock_wallet(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = p_owner AND ref = p_ref AND slot = 0) THEN
    RETURN 'replayed';
  END IF;
  IF w.closed THEN RETURN 'closed'; END IF;
  w := cv.store_wallet(cv.append_transfer(w, p_ref, 0, 'issued', 'paid', p_amount, 'paid', p_actor, p_reason));
  PERFORM cv.record_act(p_ref, p_actor, 'grant', p_owner, p_reason, jsonb_build_object('amount', p_amount));
  RETURN 'granted';
END $$;

-- Takes paid credits away, down to none at most: not_enough where there are fewer.
CREATE OR REPLACE FUNCTION cv.expire_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.lock_wallet(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = p_owner AND ref = p_ref AND slot = 2) THEN
    RETURN 'replayed';
  END IF;
  IF w.paid < p_amount THEN RETURN 'not_enough'; END IF;
  w := cv.store_wallet(cv.append_transfer(w, p_ref, 2, 'paid', 'expired', p_amount, 'paid', p_actor, p_reason));
  PERFORM cv.record_act(p_ref, p_actor, 'expire', p_owner, p_reason, jsonb_build_object('amount', p_amount));
  RETURN 'expired';
END $$;

-- Gives back what a job cost, and says so in the job, for whoever shows it: to where it came from; free credits of a month gone by come back as paid ones,
-- since the caller paid with something that was worth a request. Codes: refunded, replayed, not_charged, no_job.
CREATE OR REPLACE FUNCTION cv.refund(p_job uuid, p_actor text, p_reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet; h record; back cv.bucket; total bigint := 0;
BEGIN
  SELECT * INTO w FROM cv.lock_wallet((SELECT owner FROM cv.job WHERE id = p_job));
  IF w.owner IS NULL THEN RETURN 'no_job'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = w.owner AND ref = p_job AND slot BETWEEN 40 AND 42) THEN
    RETURN 'replayed';
  END IF;
  FOR h IN SELECT slot, amount, bucket, period FROM cv.transfer
           WHERE owner = w.owner AND ref = p_job AND dst = 'spent' ORDER BY slot LOOP
    back := CASE WHEN h.bucket = 'issued' THEN 'issued' WHEN w.closed THEN 'expired'
                 WHEN h.bucket = 'free' AND h.period < w.period THEN 'paid' ELSE h.bucket END;
    w := cv.append_transfer(w, p_job, h.slot + 20, 'spent', back, h.amount, h.bucket, p_actor, p_reason);
    total := total + h.amount;
  END LOOP;
  IF total = 0 THEN RETURN 'not_charged'; END IF;
  w := cv.store_wallet(w);
  UPDATE cv.job SET refunded = total WHERE id = p_job;
  PERFORM cv.record_act(md5('refund|' || p_job)::uuid, p_actor, 'refund', w.owner, p_reason,
                        jsonb_build_object('job', p_job, 'amount', total));
  RETURN 'refunded';
END $$;

-- Changes plan and monthly override (null: the plan's). Higher terms hold now, with the difference as free
-- credits; lower ones from next month. Codes: changed, next_month, replayed, no_wallet, no_plan, closed.
CREATE OR REPLACE FUNCTION cv.set_terms(p_owner uuid, p_ref uuid, p_tier int, p_monthly bigint, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.lock_wallet(p_owner); more bigint; code text;
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
    w := cv.apply_terms(w, p_tier, p_monthly);
    IF more > 0 THEN
      w := cv.append_transfer(w, p_ref, 0, 'issued', 'free', more, 'free', p_actor, p_reason);
    END IF;
    code := 'changed';
  END IF;
  w := cv.store_wallet(w);
  RETURN code;
END $$;

-- Unlimited or not: from the next hold on.
CREATE OR REPLACE FUNCTION cv.set_unlimited(p_owner uuid, p_ref uuid, p_unlimited boolean, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.lock_wallet(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF w.closed THEN RETURN 'closed'; END IF;
  IF NOT cv.record_act(p_ref, p_actor, 'unlimited', p_owner, p_reason,
                       jsonb_build_object('unlimited', p_unlimited)) THEN
    RETURN 'replayed';
  END IF;
  w.unlimited := p_unlimited;
  w := cv.store_wallet(w);
  RETURN 'changed';
END $$;

-- Closes a wallet for good: all its credits expire; open jobs run on, and what they give back expires too.
CREATE OR REPLACE FUNCTION cv.close_wallet(p_owner uuid, p_ref uuid, p_actor text, p_reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.lock_wallet(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF w.closed THEN RETURN 'replayed'; END IF;
  IF w.free > 0 THEN w := cv.append_transfer(w, p_ref, 1, 'free', 'expired', w.free, 'free', p_actor, p_reason); END IF;
  IF w.paid > 0 THEN w := cv.append_transfer(w, p_ref, 2, 'paid', 'expired', w.paid, 'paid', p_actor, p_reason); END IF;
  w.closed := true;
  w := cv.store_wallet(w);
  PERFORM cv.record_act(p_ref, p_actor, 'close', p_owner, p_reason, '{}');
  RETURN 'closed';
END $$;

-- Every row is a transfer that does not follow from the one before it, or a wallet with another head.
CREATE OR REPLACE VIEW cv.chain_breaks AS
SELECT owner, seq FROM (
  SELECT t AS this, t.owner, t.seq, t.hash, lag(t.hash, 1, '\x00') OVER (PARTITION BY t.owner ORDER BY t.seq) AS prev
  FROM cv.transfer t) q
WHERE hash IS DISTINCT FROM cv.chain_hash(prev, this)
UNION ALL
SELECT w.owner, w.seq FROM cv.wallet w LEFT JOIN cv.transfer t ON t.owner = w.owner AND t.seq = w.seq
WHERE w.head IS DISTINCT FROM coalesce(t.hash, '\x00');

-- Defects of up to `p_limit` wallets in owner order after `p_after` (null: the first), told from each one's last
-- checkpoint on: sums, sequence, every link since, and the jobs that moved credit since. No wallet is locked.
CREATE OR REPLACE FUNCTION cv.defects_since_checkpoint(p_after uuid, p_limit int) RETURNS TABLE (owner uuid, what text, id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
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
    WHERE s.hash IS DISTINCT FROM cv.chain_hash(s.prev, s.this)
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

-- The address is the account's owner's. Free credits that waited for it come in the same commit, once. False where the
-- account has another address by now, or is gone.
CREATE OR REPLACE FUNCTION cv.verify_email(p_account uuid, p_email text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.lock_wallet(p_account); due boolean;
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

REVOKE ALL ON FUNCTION cv.chain_hash, cv.append_transfer, cv.store_wallet, cv.apply_terms, cv.lock_wallet FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cv.chain_hash TO cv_app;  -- chain_breaks calls it as the reader
