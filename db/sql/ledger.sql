-- The ledger: wallets, transfers, and what an auditor reads. Applied anew whenever this text changes.
-- Lock order everywhere: wallets by owner, then jobs.

CREATE FUNCTION cv.now() RETURNS timestamptz LANGUAGE sql AS
$$ SELECT clock_timestamp() + shift FROM cv.clock $$;

CREATE FUNCTION cv.month() RETURNS date LANGUAGE sql AS
$$ SELECT date_trunc('month', cv.now() AT TIME ZONE 'UTC')::date $$;

-- What the chain binds. Lengths come before free text, so that no two rows read the same.
CREATE FUNCTION cv.link(prev bytea, t cv.transfer) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT sha256(prev || convert_to(concat_ws('|', t.owner, t.seq, t.ref, t.slot, t.src, t.dst, t.amount,
    t.bucket, t.period - date '2000-01-01', (extract(epoch FROM t.at) * 1000000)::bigint,
    length(t.actor), t.actor, length(t.reason), t.reason), 'UTF8')) $$;

-- The single writer of transfers: appends one, and gives back the wallet as it then stands.
-- The caller holds the wallet's lock and saves the result.
CREATE FUNCTION cv.enter(w cv.wallet, p_ref uuid, p_slot int, p_src cv.bucket, p_dst cv.bucket,
  p_amount bigint, p_bucket cv.bucket, p_actor text, p_reason text) RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE t cv.transfer;
BEGIN
  t := ROW(w.owner, w.seq + 1, p_ref, p_slot, p_src, p_dst, p_amount, p_bucket, w.period, p_actor, p_reason,
           cv.now(), NULL);
  t.hash := cv.link(w.head, t);
  INSERT INTO cv.transfer VALUES (t.*);
  w.seq := t.seq; w.head := t.hash;
  CASE p_src WHEN 'issued' THEN w.issued := w.issued + p_amount;
    WHEN 'free' THEN w.free := w.free - p_amount; WHEN 'paid' THEN w.paid := w.paid - p_amount;
    WHEN 'held' THEN w.held := w.held - p_amount; WHEN 'spent' THEN w.spent := w.spent - p_amount;
    ELSE w.expired := w.expired - p_amount; END CASE;
  CASE p_dst WHEN 'issued' THEN w.issued := w.issued - p_amount;
    WHEN 'free' THEN w.free := w.free + p_amount; WHEN 'paid' THEN w.paid := w.paid + p_amount;
    WHEN 'held' THEN w.held := w.held + p_amount; WHEN 'spent' THEN w.spent := w.spent + p_amount;
    ELSE w.expired := w.expired + p_amount; END CASE;
  RETURN w;
END $$;

CREATE FUNCTION cv.save(w cv.wallet) RETURNS void LANGUAGE sql AS $$
  UPDATE cv.wallet SET period = w.period, seq = w.seq, head = w.head, issued = w.issued, free = w.free,
    paid = w.paid, held = w.held, spent = w.spent, expired = w.expired, open_jobs = w.open_jobs,
    next_at = w.next_at WHERE owner = w.owner $$;

-- Locks the wallet and rolls it over to this month, never back. Null when there is none.
CREATE FUNCTION cv.take(p_owner uuid) RETURNS cv.wallet LANGUAGE plpgsql AS $$
DECLARE w cv.wallet; month date; quota bigint; month_ref uuid;
BEGIN
  SELECT * INTO w FROM cv.wallet WHERE owner = p_owner FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  month := cv.month();
  IF month > w.period THEN
    month_ref := md5('month|' || p_owner || '|' || (month - date '2000-01-01'))::uuid;
    IF w.free > 0 THEN
      w := cv.enter(w, month_ref, 1, 'free', 'expired', w.free, 'free', 'system', 'month_end');
    END IF;
    w.period := month;
    SELECT coalesce(w.monthly, monthly) INTO quota FROM cv.plan WHERE tier = w.tier;
    IF quota > 0 THEN
      w := cv.enter(w, month_ref, 0, 'issued', 'free', quota, 'free', 'system', 'monthly_credits');
    END IF;
  END IF;
  RETURN w;
END $$;

CREATE FUNCTION cv.open_wallet(p_owner uuid, p_kind text, p_tier int, p_monthly bigint, p_unlimited boolean)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO cv.wallet (owner, kind, tier, monthly, unlimited, period)
  VALUES (p_owner, p_kind, p_tier, p_monthly, p_unlimited, '2000-01-01');
  PERFORM cv.save(cv.take(p_owner));
END $$;

-- Holds `p_amount` for `p_ref`: free before paid, one transfer a bucket. The caller knows it is there.
CREATE FUNCTION cv.hold(w cv.wallet, p_ref uuid, p_amount bigint) RETURNS cv.wallet LANGUAGE plpgsql AS $$
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
-- A free credit given back after its month ended has expired.
CREATE FUNCTION cv.settle(w cv.wallet, p_ref uuid, p_price bigint, p_actor text) RETURNS cv.wallet
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
      back := CASE WHEN h.bucket = 'free' AND h.period < w.period THEN 'expired' ELSE h.bucket END;
      w := cv.enter(w, p_ref, h.slot + CASE WHEN part > 0 THEN 20 ELSE 10 END, 'held', back,
                    h.amount - part, h.bucket, p_actor, CASE WHEN part > 0 THEN 'rest' ELSE 'void' END);
    END IF;
  END LOOP;
  IF due > 0 THEN
    RAISE EXCEPTION 'price % is above the hold of %', p_price, p_ref USING ERRCODE = 'check_violation';
  END IF;
  RETURN w;
END $$;

-- Gives paid credits, once a `ref`. Codes: granted, replayed, no_wallet, closed.
CREATE FUNCTION cv.grant_credits(p_owner uuid, p_ref uuid, p_amount bigint, p_actor text, p_reason text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE w cv.wallet := cv.take(p_owner);
BEGIN
  IF w.owner IS NULL THEN RETURN 'no_wallet'; END IF;
  IF EXISTS (SELECT FROM cv.transfer WHERE owner = p_owner AND ref = p_ref AND slot = 0) THEN
    RETURN 'replayed';
  END IF;
  IF w.closed THEN RETURN 'closed'; END IF;
  PERFORM cv.save(cv.enter(w, p_ref, 0, 'issued', 'paid', p_amount, 'paid', p_actor, p_reason));
  RETURN 'granted';
END $$;

-- The effective balance now: a wallet left in an old month reads as if rolled over. Writes nothing.
CREATE VIEW cv.balance AS
SELECT w.owner, w.kind, p.name AS plan, w.tier, coalesce(w.monthly, p.monthly) AS monthly,
  CASE WHEN m.month > w.period THEN coalesce(w.monthly, p.monthly) ELSE w.free END AS free,
  w.paid, w.held, w.spent, w.unlimited, w.closed,
  (m.month + interval '1 month') AT TIME ZONE 'UTC' AS resets_at
FROM cv.wallet w JOIN cv.plan p USING (tier), LATERAL (SELECT cv.month() AS month) m;

-- The same movements as an accountant writes them: two legs a transfer.
CREATE VIEW cv.leg AS
SELECT owner, seq, ref, at, src AS bucket, -amount AS amount, actor, reason FROM cv.transfer
UNION ALL
SELECT owner, seq, ref, at, dst, amount, actor, reason FROM cv.transfer;

-- Every row is a transfer that does not follow from the one before it, or a wallet with another head.
CREATE VIEW cv.chain_breaks AS
SELECT owner, seq FROM (
  SELECT t AS this, t.owner, t.seq, t.hash, lag(t.hash, 1, '\x00') OVER (PARTITION BY t.owner ORDER BY t.seq) AS prev
  FROM cv.transfer t) q
WHERE hash IS DISTINCT FROM cv.link(prev, this)
UNION ALL
SELECT w.owner, w.seq FROM cv.wallet w LEFT JOIN cv.transfer t ON t.owner = w.owner AND t.seq = w.seq
WHERE w.head IS DISTINCT FROM coalesce(t.hash, '\x00');

-- Every row is a defect: money and jobs, told twice, do not agree, or a guard is down.
CREATE VIEW cv.recon AS
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
     OR (j.state IN ('failed', 'expired') AND j.price > 0)
UNION ALL SELECT 'open jobs differ', w.owner::text FROM cv.wallet w LEFT JOIN open o USING (owner)
  WHERE w.open_jobs <> coalesce(o.n, 0)
UNION ALL SELECT 'append-only trigger is not always on', g.name
  FROM (VALUES ('append_only_rows'), ('append_only_table')) g(name)
  WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'cv.transfer'::regclass AND tgname = g.name
                    AND tgenabled = 'A');
