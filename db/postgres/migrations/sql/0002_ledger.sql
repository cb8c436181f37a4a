-- The ledger: wallets, transfers, and what an auditor reads.
-- Lock order everywhere: wallets by owner, then jobs.

-- The one clock of the ledger. A function, since it is inlined: a table would be read in every call.
CREATE OR REPLACE FUNCTION cv.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT clock_timestamp() $$;

CREATE OR REPLACE FUNCTION cv.month() RETURNS date LANGUAGE sql AS
$$ SELECT date_trunc('month', cv.now() AT TIME ZONE 'UTC')::date $$;

-- Puts the clock forward by so much (tests of month ends do), as only the owner role can.
CREATE OR REPLACE FUNCTION cv.shift_clock(p_by interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION cv.now() RETURNS timestamptz LANGUAGE sql AS %L',
                 format('SELECT clock_timestamp() + %L::interval', p_by));
END $$;

-- What the chain binds. Lengths come before free text, so that no two rows read the same. STABLE, as
-- concat_ws is: declared anything stricter it would not be inlined.
CREATE OR REPLACE FUNCTION cv.link(prev bytea, t cv.transfer) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(prev || convert_to(concat_ws('|', t.owner, t.seq, t.ref, t.slot, t.src, t.dst, t.amount,
    t.bucket, t.period - date '2000-01-01', (extract(epoch FROM t.at) * 1000000)::bigint,
    length(t.actor), t.actor, length(t.reason), t.reason), 'UTF8')) $$;

-- The slot of a hold from that bucket; ten more is its resolution.
CREATE OR REPLACE FUNCTION cv.hold_slot(bucket cv.bucket) RETURNS int LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE bucket WHEN 'free' THEN 10 WHEN 'paid' THEN 11 ELSE 12 END $$;

-- The writer of transfers: appends one, and gives back the wallet as it then stands. In one statement, since every
-- expression of PL/pgSQL is set up anew in each transaction. The caller holds the wallet's lock and saves the
-- result. Besides it write only cv.submit and cv.finish (many wallets' at once).
CREATE OR REPLACE FUNCTION cv.enter(w cv.wallet, p_ref uuid, p_slot int, p_src cv.bucket, p_dst cv.bucket,
  p_amount bigint, p_bucket cv.bucket, p_actor text, p_reason text) RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE at timestamptz := cv.now();
BEGIN
  INSERT INTO cv.transfer VALUES (w.owner, w.seq + 1, p_ref, p_slot, p_src, p_dst, p_amount, p_bucket, w.period,
    p_actor, p_reason, at, cv.link(w.head, ROW(w.owner, w.seq + 1, p_ref, p_slot, p_src, p_dst, p_amount, p_bucket,
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
CREATE OR REPLACE FUNCTION cv.save(w cv.wallet) RETURNS cv.wallet LANGUAGE plpgsql AS $$
BEGIN
  UPDATE cv.wallet SET tier = w.tier, monthly = w.monthly, next_tier = w.next_tier, next_monthly = w.next_monthly,
    unlimited = w.unlimited, closed = w.closed, period = w.period, seq = w.seq, head = w.head, issued = w.issued,
    free = w.free, paid = w.paid, held = w.held, spent = w.spent, expired = w.expired, open_jobs = w.open_jobs,
    next_at = w.next_at WHERE owner = w.owner;
  RETURN w;
END $$;

-- The monthly free credits of these terms.
CREATE OR REPLACE FUNCTION cv.quota(p_tier int, p_monthly bigint) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT coalesce(p_monthly, (SELECT monthly FROM cv.plan WHERE tier = p_tier)) $$;

-- Puts terms in force; the account shows the same tier.
CREATE OR REPLACE FUNCTION cv.put_terms(w cv.wallet, p_tier int, p_monthly bigint) RETURNS cv.wallet LANGUAGE plpgsql AS $$
BEGIN
  w.tier := p_tier; w.monthly := p_monthly; w.next_tier := NULL; w.next_monthly := NULL;
  UPDATE cv.account SET tier = p_tier WHERE id = w.owner AND tier <> p_tier;
  RETURN w;
END $$;

-- Locks the wallet and rolls it over to this month, never back. Null when there is none.
CREATE OR REPLACE FUNCTION cv.take(p_owner uuid) RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE w cv.wallet; month date; quota bigint; month_ref uuid;
BEGIN
  SELECT * INTO w FROM cv.wallet WHERE owner = p_owner FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  month := cv.month();
  IF month > w.period THEN
    month_ref := md5('month|' || p_owner || '|' || (month - date '2000-01-01'))::uuid;
    IF w.free > 0 THEN
      w := cv.enter(w, month_ref, 4, 'free', 'expired', w.free, 'free', 'system', 'month_end');
    END IF;
    w.period := month;
    IF w.next_tier IS NOT NULL THEN
      w := cv.put_terms(w, w.next_tier, w.next_monthly);
    END IF;
    quota := cv.quota(w.tier, w.monthly);
    IF quota > 0 AND NOT w.closed THEN
      w := cv.enter(w, month_ref, 3, 'issued', 'free', quota, 'free', 'system', 'monthly_credits');
    END IF;
    w := cv.save(w);  -- here, since a caller that refuses saves nothing
  END IF;
  RETURN w;
END $$;

CREATE OR REPLACE FUNCTION cv.open_wallet(p_owner uuid, p_kind text, p_tier int, p_monthly bigint, p_unlimited boolean)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO cv.wallet (owner, kind, tier, monthly, unlimited, period)
  VALUES (p_owner, p_kind, p_tier, p_monthly, p_unlimited, '2000-01-01');
  PERFORM cv.take(p_owner);
END $$;

-- Holds `p_amount` for `p_ref`: free before paid, one transfer a bucket. The caller knows it is there.
CREATE OR REPLACE FUNCTION cv.hold(w cv.wallet, p_ref uuid, p_amount bigint) RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE from_free bigint := CASE WHEN w.unlimited THEN 0 ELSE least(w.free, p_amount) END;
BEGIN
  IF w.unlimited AND p_amount > 0 THEN
    RETURN cv.enter(w, p_ref, 12, 'issued', 'held', p_amount, 'issued', 'api', 'hold');
  END IF;
  IF from_free > 0 THEN
    w := cv.enter(w, p_ref, 10, 'free', 'held', from_free, 'free', 'api', 'hold');
  END IF;
  IF p_amount > from_free THEN
    w := cv.enter(w, p_ref, 11, 'paid', 'held', p_amount - from_free, 'paid', 'api', 'hold');
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
      w := cv.enter(w, p_ref, h.slot + 10, 'held', 'spent', part, h.bucket, p_actor, 'post');
    END IF;
    IF part < h.amount THEN
      back := CASE WHEN h.bucket = 'issued' THEN 'issued' WHEN w.closed OR (h.bucket = 'free' AND h.period < w.period)
                   THEN 'expired' ELSE h.bucket END;
      w := cv.enter(w, p_ref, h.slot + CASE WHEN part > 0 THEN 20 ELSE 10 END, 'held', back,
                    h.amount - part, h.bucket, p_actor, CASE WHEN part > 0 THEN 'rest' ELSE 'void' END);
    END IF;
  END LOOP;
  IF due > 0 THEN
    RAISE EXCEPTION 'price % is above the hold of %', p_price, p_ref USING ERRCODE = 'check_violation';
  END IF;
  RETURN w;
END $$;

-- Records an operator's act, once a `ref`: false where it was done before.
CREATE OR REPLACE FUNCTION cv.record_act(p_ref uuid, p_actor text, p_act text, p_owner uuid, p_reason text, p_details jsonb)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO cv.admin_act (ref, actor, act, owner, reason, details)
  VALUES (p_ref, p_actor, p_act, p_owner, p_reason, p_details) ON CONFLICT (ref) DO NOTHING;
  RETURN FOUND;
END $$;

-- The acts below happen once a `ref` and answer done, replayed, or why not: no_wallet, closed, …

-- Gives paid credits.
CREATE OR REPLACE FUNCTION cv.grant_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = p_owner AND ref = p_ref AND slot = 0) THEN
    RETURN 'replayed';
  END IF;
  IF w.closed THEN RETURN 'closed'; END IF;
  w := cv.save(cv.enter(w, p_ref, 0, 'issued', 'paid', p_amount, 'paid', p_actor, p_reason));
  PERFORM cv.record_act(p_ref, p_actor, 'grant', p_owner, p_reason, jsonb_build_object('amount', p_amount));
  RETURN 'granted';
END $$;

-- Takes paid credits away, down to none at most: not_enough where there are fewer.
CREATE OR REPLACE FUNCTION cv.expire_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = p_owner AND ref = p_ref AND slot = 2) THEN
    RETURN 'replayed';
  END IF;
  IF w.paid < p_amount THEN RETURN 'not_enough'; END IF;
  w := cv.save(cv.enter(w, p_ref, 2, 'paid', 'expired', p_amount, 'paid', p_actor, p_reason));
  PERFORM cv.record_act(p_ref, p_actor, 'expire', p_owner, p_reason, jsonb_build_object('amount', p_amount));
  RETURN 'expired';
END $$;

-- Gives back what a job cost: to where it came from; free credits of a month gone by come back as paid ones,
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
  PERFORM cv.record_act(md5('refund|' || p_job)::uuid, p_actor, 'refund', w.owner, p_reason,
                        jsonb_build_object('job', p_job, 'amount', total));
  RETURN 'refunded';
END $$;

-- Changes plan and monthly override (null: the plan's). Higher terms hold now, with the difference as free
-- credits; lower ones from next month. Codes: changed, next_month, replayed, no_wallet, no_plan, closed.
CREATE OR REPLACE FUNCTION cv.set_terms(p_owner uuid, p_ref uuid, p_tier int, p_monthly bigint, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.take(p_owner); more bigint; code text;
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
    w := cv.put_terms(w, p_tier, p_monthly);
    IF more > 0 THEN
      w := cv.enter(w, p_ref, 0, 'issued', 'free', more, 'free', p_actor, p_reason);
    END IF;
    code := 'changed';
  END IF;
  w := cv.save(w);
  RETURN code;
END $$;

-- Unlimited or not: from the next hold on.
CREATE OR REPLACE FUNCTION cv.set_unlimited(p_owner uuid, p_ref uuid, p_unlimited boolean, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF w.closed THEN RETURN 'closed'; END IF;
  IF NOT cv.record_act(p_ref, p_actor, 'unlimited', p_owner, p_reason,
                       jsonb_build_object('unlimited', p_unlimited)) THEN
    RETURN 'replayed';
  END IF;
  w.unlimited := p_unlimited;
  w := cv.save(w);
  RETURN 'changed';
END $$;

-- Closes a wallet for good: all its credits expire; open jobs run on, and what they give back expires too.
CREATE OR REPLACE FUNCTION cv.close_wallet(p_owner uuid, p_ref uuid, p_actor text, p_reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF w.closed THEN RETURN 'replayed'; END IF;
  IF w.free > 0 THEN w := cv.enter(w, p_ref, 1, 'free', 'expired', w.free, 'free', p_actor, p_reason); END IF;
  IF w.paid > 0 THEN w := cv.enter(w, p_ref, 2, 'paid', 'expired', w.paid, 'paid', p_actor, p_reason); END IF;
  w.closed := true;
  w := cv.save(w);
  PERFORM cv.record_act(p_ref, p_actor, 'close', p_owner, p_reason, '{}');
  RETURN 'closed';
END $$;

-- The effective balance now: a wallet left in an old month reads as if rolled over. Writes nothing.
CREATE OR REPLACE VIEW cv.balance AS
SELECT w.owner, w.kind, p.name AS plan, p.tier, t.monthly,
  CASE WHEN NOT t.stale THEN w.free WHEN w.closed THEN 0 ELSE t.monthly END AS free,
  w.paid, w.held, w.spent, w.unlimited, w.closed,
  (m.month + interval '1 month') AT TIME ZONE 'UTC' AS resets_at
FROM cv.wallet w, LATERAL (SELECT cv.month() AS month) m,
  LATERAL (SELECT m.month > w.period AND w.next_tier IS NOT NULL AS due) n,
  LATERAL (SELECT CASE WHEN n.due THEN w.next_tier ELSE w.tier END AS tier) e JOIN cv.plan p USING (tier),
  LATERAL (SELECT m.month > w.period AS stale,
                  coalesce(CASE WHEN n.due THEN w.next_monthly ELSE w.monthly END, p.monthly) AS monthly) t;

-- The same movements as an accountant writes them: two legs a transfer.
CREATE OR REPLACE VIEW cv.leg AS
SELECT owner, seq, ref, at, src AS bucket, -amount AS amount, actor, reason FROM cv.transfer
UNION ALL
SELECT owner, seq, ref, at, dst, amount, actor, reason FROM cv.transfer;

-- Every row is a transfer that does not follow from the one before it, or a wallet with another head.
CREATE OR REPLACE VIEW cv.chain_breaks AS
SELECT owner, seq FROM (
  SELECT t AS this, t.owner, t.seq, t.hash, lag(t.hash, 1, '\x00') OVER (PARTITION BY t.owner ORDER BY t.seq) AS prev
  FROM cv.transfer t) q
WHERE hash IS DISTINCT FROM cv.link(prev, this)
UNION ALL
SELECT w.owner, w.seq FROM cv.wallet w LEFT JOIN cv.transfer t ON t.owner = w.owner AND t.seq = w.seq
WHERE w.head IS DISTINCT FROM coalesce(t.hash, '\x00');

-- Every row is a defect: money and jobs, told twice, do not agree, or a guard is down.
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
     OR (j.price > 0 AND (j.state = 'failed' OR (j.state IN ('cancelled', 'expired') AND NOT j.heard)))
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
