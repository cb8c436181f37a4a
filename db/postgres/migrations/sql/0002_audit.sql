-- The audit from checkpoints: what was found right is written down, and later only what came after is read.
-- The whole record is looked at by cv.recon and cv.chain_breaks (ledger.sql).

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
    WHERE s.hash IS DISTINCT FROM cv.link(s.prev, s.this)
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

-- Writes a checkpoint of those of the next `p_limit` wallets that moved since their last and in which nothing is
-- wrong; the number of them. Each locked wallet's row is as its transfers say, or it is left out.
CREATE OR REPLACE FUNCTION cv.checkpoint(p_after uuid, p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE written bigint;
BEGIN
  -- In order, like everybody; until the commit nothing moves in them.
  PERFORM FROM (SELECT x.owner FROM cv.wallet x WHERE p_after IS NULL OR x.owner > p_after
    ORDER BY x.owner LIMIT p_limit FOR NO KEY UPDATE) locked;
  INSERT INTO cv.checkpoint (owner, seq, head, issued, free, paid, held, spent, expired)
  SELECT w.owner, w.seq, w.head, w.issued, w.free, w.paid, w.held, w.spent, w.expired
  FROM (SELECT * FROM cv.wallet x WHERE p_after IS NULL OR x.owner > p_after ORDER BY x.owner LIMIT p_limit) w
  WHERE NOT EXISTS (SELECT FROM cv.checkpoint c WHERE c.owner = w.owner AND c.seq = w.seq)
    AND w.owner NOT IN (SELECT d.owner FROM cv.defects_since_checkpoint(p_after, p_limit) d);
  GET DIAGNOSTICS written = ROW_COUNT;
  RETURN written;
END $$;

-- Every row is a checkpoint that its transfer does not bear out: for the audit of the whole record.
CREATE OR REPLACE VIEW cv.false_checkpoints AS
SELECT c.owner, c.seq FROM cv.checkpoint c LEFT JOIN cv.transfer t ON t.owner = c.owner AND t.seq = c.seq
WHERE c.seq > 0 AND t.hash IS DISTINCT FROM c.head;
