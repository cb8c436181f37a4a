-- The statements of the API server, the workers and the operations tooling. A line `-- name: x` begins each.

-- name: submit_batch
SELECT pos, code, id, bucket, remaining
FROM cv.submit_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $15, $16, $12, $13, $14)

-- name: job_status
SELECT j.id, j.owner, j.state, j.attempt, j.code, j.created_at, j.finished_at, j.object, j.content_type,
  j.audio_bytes, j.duration_ms, j.sha256, j.audio_until < clock_timestamp() AS audio_gone,
  coalesce(j.params ->> 'format', '') AS format,
  coalesce(j.price - j.refunded, 0) AS spent, j.refunded, j.engine
FROM unnest((SELECT $1::uuid[])) AS t(id) CROSS JOIN LATERAL (SELECT * FROM cv.job WHERE id = t.id OFFSET 0) j
WHERE j.kind <> 'transcription'    -- a transcription is visible to its owner only

-- name: job_progress
-- What a poll shows of each job, by its position in the array: few columns, since this is the most frequent query.
-- The array is hidden from the planner, which would replan for a short one each time, longer than execution takes.
SELECT t.n::integer, j.state, j.attempt, j.code,
  CASE WHEN j.state = 'queued' AND j.attempt = 0 THEN (SELECT count(*) FROM (SELECT FROM cv.job a
    WHERE a.engine = j.engine AND a.state = 'queued' AND a.fair_at < j.fair_at
    ORDER BY a.fair_at LIMIT 1000) ahead) END::integer AS position,
  j.created_at, j.duration_ms, j.object IS NOT NULL AND (j.audio_until < clock_timestamp()) IS NOT TRUE AS has_audio,
  coalesce(j.price - j.refunded, 0) AS spent, j.refunded, j.engine, j.lane AS voice_used,
  -- The params contain the text: they are read once a job, by the poll that sees its end.
  CASE WHEN j.finished_at IS NOT NULL THEN j.params ->> 'voice_reason' END AS voice_reason
FROM unnest((SELECT $1::uuid[])) WITH ORDINALITY AS t(id, n)
CROSS JOIN LATERAL (SELECT * FROM cv.job WHERE id = t.id OFFSET 0) j
WHERE j.kind <> 'transcription'

-- name: transcription_jobs
-- By position in the arrays of jobs and owners.
SELECT t.n::integer, j.id, j.state, j.code, j.engine, coalesce(j.price - j.refunded, 0) AS spent, j.refunded, j.object,
  j.audio_bytes, j.audio_until < clock_timestamp() AS audio_gone, j.audio_until AS kept_until
FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[])) WITH ORDINALITY AS t(id, owner, n)
CROSS JOIN LATERAL (SELECT * FROM cv.job WHERE id = t.id OFFSET 0) j
WHERE j.owner = t.owner AND j.kind = 'transcription'

-- name: upload_jobs
SELECT id, finished_at IS NULL OR finished_at > clock_timestamp() - $2::interval
FROM cv.job WHERE id = ANY($1::uuid[])

-- name: cancel
SELECT cv.cancel_v2($1, $2, $3) AS code, (SELECT kind FROM cv.job WHERE id = $1) AS kind

-- name: break_off
SELECT cv.break_off_v2($1, $2, $3)

-- name: listen
SELECT cv.listen($1)

-- name: unlisten
SELECT cv.unlisten($1)

-- name: hear
SELECT cv.hear_v2($1, $2, $3)

-- name: has_too_many_refunds
SELECT cv.has_too_many_refunds($1, $2)

-- name: charge
SELECT code, id, bucket, remaining, price, spendable
FROM cv.charge($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: claim
-- Only columns of the function: this statement's own snapshot of cv.job may be older than what it claimed.
SELECT id, attempt, lane, params, live, kind, waited_s, owner FROM cv.claim_v2($1, $2, $3, $4, $5, $6, $7, $8, $9)
ORDER BY fair_at

-- name: claim_beyond
SELECT id, attempt, lane, params, live, kind, waited_s, owner FROM cv.claim_beyond($1, $2, $3, $4, $5) ORDER BY fair_at

-- name: correct_costs
SELECT cv.correct_costs($1, $2)

-- name: live_jobs
SELECT ARRAY(SELECT owner FROM cv.job WHERE engine = $1 AND live AND state IN ('queued', 'processing')) AS owners,
  (SELECT count(*) FROM cv.engine WHERE name = $1 AND seen_at > clock_timestamp() - interval '10 seconds') AS workers

-- name: renew
SELECT cv.renew($1, $2, $3, $4)

-- name: finish_and_claim
-- In one commit. The functions run in this order, and the second sees what the first did.
SELECT id, attempt, result, lane, params, live, kind, waited_s, owner FROM (
  SELECT id, attempt, result, NULL AS lane, NULL AS params, NULL::boolean AS live, NULL AS kind, NULL::float8 AS waited_s,
    NULL::uuid AS owner, NULL::timestamptz AS fair_at
    FROM cv.finish_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
  UNION ALL
  SELECT id, attempt, NULL, lane, params, live, kind, waited_s, owner, fair_at
    FROM cv.claim_v2($14, NULL, true, false, $15, $16, $17, $11, $18)) t
ORDER BY fair_at NULLS FIRST

-- name: finish
SELECT id, attempt, result FROM cv.finish_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: sweep
SELECT id, engine, result, kind FROM cv.sweep_v2($1, $2)

-- name: old_audio
SELECT id, object FROM cv.job WHERE object IS NOT NULL AND audio_until < statement_timestamp()
ORDER BY audio_until LIMIT $1

-- name: forget_audio
SELECT cv.forget_audio($1)

-- name: named_objects
SELECT j.object FROM unnest($1::text[]) AS t(key) JOIN cv.job j
ON j.id = substr(t.key, 6, 36)::uuid AND j.object = t.key  -- jobs/<id>-<attempt>.wav

-- name: orphans
-- Of objects (key, job), those no job will ever refer to: the job exists, has ended, and names another or none.
SELECT t.key FROM unnest($1::text[], $2::uuid[]) t(key, job)
CROSS JOIN LATERAL (SELECT state, object FROM cv.job WHERE id = t.job OFFSET 0) j
WHERE j.state NOT IN ('queued', 'processing') AND j.object IS DISTINCT FROM t.key

-- name: forget_texts
SELECT cv.forget_texts($1, $2)

-- name: forget_keys
SELECT cv.forget_keys($1)

-- name: waiting
SELECT count(*) FROM (SELECT FROM cv.job WHERE engine = $1 AND state = 'queued' LIMIT $2) q

-- name: publish
WITH gone AS (DELETE FROM cv.engine WHERE name = $1 AND worker <> $2
              AND seen_at < statement_timestamp() - interval '1 minute')
INSERT INTO cv.engine (name, worker, capabilities) VALUES ($1, $2, $3::jsonb)
ON CONFLICT (name, worker) DO UPDATE SET capabilities = excluded.capabilities, seen_at = clock_timestamp()

-- name: retire
UPDATE cv.engine SET seen_at = seen_at - interval '1 hour' WHERE name = $1 AND worker = $2

-- name: engines
-- `recent`: may come back after a restart or a crash; a worker that retires is set back by an hour.
SELECT DISTINCT ON (name) capabilities, clock_timestamp() - seen_at < interval '10 seconds' AS present,
  clock_timestamp() - seen_at < interval '65 minutes' AS recent
FROM cv.engine ORDER BY name, seen_at DESC

-- name: open_wallet
SELECT cv.open_wallet($1, $2, $3, $4, $5)

-- name: grant_credits
SELECT cv.grant_credits($1, $2, $3, $4, $5)

-- name: expire_credits
SELECT cv.expire_credits($1, $2, $3, $4, $5)

-- name: refund
SELECT cv.refund($1, $2, $3)

-- name: set_terms
SELECT cv.set_terms($1, $2, $3, $4, $5, $6)

-- name: set_unlimited
SELECT cv.set_unlimited($1, $2, $3, $4, $5)

-- name: close_wallet
SELECT cv.close_wallet($1, $2, $3, $4)

-- name: record_act
SELECT cv.record_act($1, $2, $3, $4, $5, $6::jsonb)

-- name: heads
SELECT owner, seq, head FROM cv.wallet ORDER BY owner

-- name: transfers
SELECT seq, ref, slot, src, dst, amount, bucket, period, actor, reason, at, hash
FROM cv.transfer WHERE owner = $1 AND seq > $2 ORDER BY seq LIMIT $3

-- name: balance
SELECT kind, plan, tier, monthly, free, paid, held, spent, unlimited, closed, resets_at
FROM cv.balance WHERE owner = $1

-- name: recon
SELECT what, id FROM cv.recon

-- name: chain_breaks
SELECT owner, seq FROM cv.chain_breaks ORDER BY owner, seq

-- name: false_checkpoints
SELECT owner, seq FROM cv.false_checkpoints ORDER BY owner, seq

-- name: defects_since_checkpoint
SELECT what, id FROM cv.defects_since_checkpoint($1, $2) ORDER BY what, id

-- name: checkpoint
SELECT cv.checkpoint($1, $2)

-- name: last_of_wallets
-- The last of the next $2 wallets after $1; none where there are fewer.
SELECT owner FROM cv.wallet WHERE $1::uuid IS NULL OR owner > $1 ORDER BY owner OFFSET $2 - 1 LIMIT 1

-- name: totals
SELECT count(*) AS wallets, coalesce(sum(seq), 0)::bigint AS transfers, coalesce(sum(free), 0)::bigint AS free,
  coalesce(sum(paid), 0)::bigint AS paid, coalesce(sum(held), 0)::bigint AS held,
  coalesce(sum(spent), 0)::bigint AS spent FROM cv.wallet

-- name: principal_by_key
SELECT a.id, a.kind, a.tier, a.admin, a.suspended, a.token_epoch, k.id AS key, k.scopes, k.expires_at, k.revoked_at
FROM cv.api_key k JOIN cv.account a ON a.id = k.account WHERE k.digest = $1

-- name: principal_by_id
-- With the log-ins that were ended individually.
SELECT id, kind, tier, admin, suspended, token_epoch, ARRAY(SELECT session FROM cv.ended_session
  WHERE account = id AND until > clock_timestamp()) AS ended FROM cv.account WHERE id = $1

-- name: end_session
SELECT cv.end_session($1, $2, $3, $4)

-- name: verify_email
SELECT cv.verify_email($1, $2)

-- name: find_account
SELECT id FROM cv.account WHERE email = lower($1)

-- name: changed_principals
-- Accounts that changed, or whose keys did, in transactions still running at the last poll ($1, its oldest; null at
-- first), and the oldest now. A mark from the future comes from a restored copy and is ignored.
WITH seen AS (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS oldest, pg_snapshot_xmax(pg_current_snapshot()) AS next)
SELECT oldest::text, CASE WHEN $1::text IS NULL THEN '{}' ELSE ARRAY(
  SELECT id FROM cv.account WHERE changed >= $1::text::xid8 AND changed < next
  UNION SELECT account FROM cv.api_key WHERE changed >= $1::text::xid8 AND changed < next) END AS accounts
FROM seen

-- name: note_used_keys
-- At most once a minute a key, over all processes; none waits for another.
UPDATE cv.api_key SET last_used_at = clock_timestamp() WHERE id = ANY(ARRAY(
  SELECT id FROM cv.api_key WHERE id = ANY($1)
    AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute') FOR NO KEY UPDATE SKIP LOCKED))

-- name: lock_administrators
-- Held to the end of the transaction: of concurrent operations each sees what the previous one did.
SELECT pg_advisory_xact_lock(hashtextextended('codevoice administrators', 0))

-- name: may_act
-- Whether the administrator $1, authenticated by key $2 or log-in $3 of epoch $4, still is one and may act.
SELECT EXISTS (SELECT FROM cv.account a WHERE a.id = $1 AND a.admin AND NOT a.suspended AND CASE WHEN $2::uuid IS NULL
  THEN a.token_epoch = $4::int AND NOT EXISTS (SELECT FROM cv.ended_session WHERE account = $1 AND session = $3::uuid)
  ELSE EXISTS (SELECT FROM cv.api_key WHERE id = $2 AND account = $1
    AND (revoked_at IS NULL OR revoked_at > clock_timestamp()) AND (expires_at IS NULL OR expires_at > clock_timestamp()))
  END)

-- name: is_last_administrator
SELECT coalesce((SELECT admin AND NOT suspended FROM cv.account WHERE id = $1), false)
  AND NOT EXISTS (SELECT FROM cv.account a JOIN cv.wallet w ON w.owner = a.id
    WHERE a.admin AND NOT a.suspended AND NOT w.closed AND a.id <> $1)

-- name: prices
SELECT version, kind, engine, unit, amount, valid_from FROM cv.price_now ORDER BY kind, engine

-- name: set_price
SELECT code, version FROM cv.set_price($1, $2, $3, $4, $5, $6, $7, $8)

-- name: job_again
SELECT j.params::text AS params, j.hold, j.tariff, j.lane, coalesce(j.characters *
  (SELECT max((capabilities ->> 'cost_us_per_character')::bigint) FROM cv.engine WHERE name = j.engine), 0) AS cost_us
FROM cv.job j WHERE j.id = $1

-- name: refunded
SELECT coalesce(sum(amount), 0)::bigint FROM cv.transfer WHERE owner = $1 AND ref = $2 AND slot BETWEEN 40 AND 42

-- name: legs_of_ref
SELECT seq, at, ref, bucket, amount, actor, reason FROM cv.leg WHERE owner = $1 AND ref = $2 ORDER BY seq, amount

-- name: legs_of_transaction
-- What the current transaction wrote, among an owner's latest transfers: an operation makes a handful.
SELECT l.seq, l.at, l.ref, l.bucket, l.amount, l.actor, l.reason FROM cv.transfer t JOIN cv.leg l USING (owner, seq)
WHERE t.owner = $1 AND t.xmin = pg_current_xact_id()::xid
  AND t.seq > (SELECT seq FROM cv.wallet WHERE owner = $1) - 100 ORDER BY l.seq, l.amount

-- name: export
SELECT owner AS account, seq, at, ref, slot, src, dst, amount AS amount_micro, bucket, period, actor, reason,
  encode(hash, 'hex') AS hash
FROM cv.transfer WHERE $1::uuid IS NULL OR owner = $1 ORDER BY owner, seq

-- name: lost_heads
SELECT h.owner, h.seq, CASE WHEN w.owner IS NULL THEN 'wallet is gone' WHEN w.seq < h.seq THEN 'sequence shrank'
  ELSE 'another transfer at this head' END AS what
FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) AS h(owner, seq, hash)
LEFT JOIN cv.wallet w ON w.owner = h.owner LEFT JOIN cv.transfer t ON t.owner = h.owner AND t.seq = h.seq
WHERE w.owner IS NULL OR w.seq < h.seq OR coalesce(t.hash, '\x00') <> h.hash

-- name: usage_by_day
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, kind, state, count(*) AS requests, coalesce(sum(price - refunded), 0)::bigint AS spent
FROM cv.job WHERE owner = $1 AND created_at >= $2 GROUP BY 1, 2, 3

-- name: price_and_rest
-- What a job cost, and its owner's spendable balance; null: unlimited.
SELECT j.price - j.refunded AS price, CASE WHEN NOT w.unlimited THEN w.free + w.paid END AS spendable
FROM cv.job j JOIN cv.wallet w USING (owner) WHERE j.id = $1

-- name: own_jobs
-- By id, for their owners; the array is hidden from the planner as in job_progress.
SELECT j.id, j.owner, j.kind, j.engine, coalesce(j.params ->> 'asked_voice', j.params ->> 'voice') AS voice,
  j.params ->> 'voice' AS voice_used, j.params ->> 'voice_reason' AS voice_reason, j.params ->> 'language' AS language,
  j.params ->> 'format' AS format, left(j.params ->> 'text', 2000) AS text, j.state, j.code, j.characters, j.duration_ms,
  coalesce(j.price - j.refunded, j.hold) AS micro, coalesce(j.price - j.refunded, 0) AS spent, j.refunded, j.created_at,
  j.started_at, j.finished_at, j.object, j.content_type, j.audio_bytes,
  coalesce(j.kind = 'speech' AND j.object IS NOT NULL AND j.audio_until > clock_timestamp(), false) AS has_audio,
  coalesce(j.kind = 'transcription' AND j.object IS NOT NULL AND j.audio_until > clock_timestamp(), false) AS has_transcript
FROM unnest((SELECT $1::uuid[])) AS t(id) CROSS JOIN LATERAL (SELECT * FROM cv.job WHERE id = t.id OFFSET 0) j

-- name: stored_bytes
SELECT coalesce((SELECT bytes FROM cv.stored WHERE owner = $1), 0)::bigint

-- name: expect_store
SELECT cv.expect_store($1, $2, $3, $4, $5)

-- name: unexpect_store
SELECT cv.unexpect_store($1)

-- name: has_key
-- A key whose job ended without a result, or that is a day old, is free again.
SELECT EXISTS (SELECT FROM cv.idempotency i JOIN cv.job j ON j.id = i.job WHERE i.owner = $1 AND i.key = $2
  AND j.state NOT IN ('failed', 'cancelled', 'expired') AND i.at >= clock_timestamp() - interval '24 hours')

-- name: usage_by_key
SELECT (j.created_at AT TIME ZONE 'UTC')::date AS day, j.api_key AS key, k.name AS key_name, k.prefix, j.kind,
  count(*) AS requests,
  count(*) FILTER (WHERE j.state = 'completed') AS succeeded,
  count(*) FILTER (WHERE j.state IN ('failed', 'expired')) AS failed, sum(j.characters)::bigint AS characters,
  coalesce(sum(j.duration_ms), 0)::bigint AS duration_ms, coalesce(sum(j.price - j.refunded), 0)::bigint AS spent
FROM cv.job j LEFT JOIN cv.api_key k ON k.id = j.api_key
WHERE j.owner = $1 AND j.created_at >= $2 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1 DESC, 3, 2, 5

-- name: open_system_account
-- The account for the installation's own jobs; its credits are issued as they are used.
WITH made AS (INSERT INTO cv.account (id, kind) VALUES ($1, 'system') ON CONFLICT (id) DO NOTHING RETURNING id)
SELECT cv.open_wallet(id, 'system', 1, NULL, true) FROM made

-- name: spent_this_month
SELECT coalesce(sum(price - refunded), 0)::bigint AS spent FROM cv.job
WHERE owner = $1 AND created_at >= cv.month()::timestamp AT TIME ZONE 'UTC'

-- name: own_job_ids
SELECT id FROM cv.job WHERE owner = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR kind = $3)
  AND ($4::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM cv.job WHERE id = $4 AND owner = $1))
ORDER BY created_at DESC, id DESC LIMIT $5

-- name: own_ledger
-- Transfers, newest first; `left_after` is the spendable balance after each: the current one, less later changes.
WITH moved AS MATERIALIZED (
  SELECT seq, at, ref, src, dst, amount, bucket, reason,
    CASE WHEN dst IN ('free', 'paid') THEN amount ELSE 0 END - CASE WHEN src IN ('free', 'paid') THEN amount ELSE 0 END AS change
  FROM cv.transfer WHERE owner = $1 AND ($2::bigint IS NULL OR seq < $2) ORDER BY seq DESC LIMIT $3),
since AS (
  SELECT coalesce(sum(CASE WHEN dst IN ('free', 'paid') THEN amount ELSE 0 END - CASE WHEN src IN ('free', 'paid') THEN amount ELSE 0 END), 0) AS change
  FROM cv.transfer WHERE owner = $1 AND seq >= $2)
SELECT m.seq, m.at, m.ref, m.src, m.dst, m.amount, m.bucket, m.reason, m.change, (w.free + w.paid - since.change
  - coalesce(sum(m.change) OVER (ORDER BY m.seq DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))::bigint AS left_after
FROM moved m, since, cv.wallet w WHERE w.owner = $1 ORDER BY m.seq DESC

-- name: queues
-- By engine: jobs waiting, the oldest's age in seconds, jobs running, workers present.
SELECT engine, coalesce(q.depth, 0), coalesce(q.oldest_s, 0)::float8, coalesce(p.processing, 0), coalesce(w.present, 0)
FROM (SELECT engine, count(*) AS depth, extract(epoch FROM clock_timestamp() - min(created_at)) AS oldest_s
      FROM cv.job WHERE state = 'queued' GROUP BY engine) q
FULL JOIN (SELECT engine, count(*) AS processing FROM cv.job WHERE state = 'processing' GROUP BY engine) p USING (engine)
FULL JOIN (SELECT name AS engine, count(*) FILTER (WHERE seen_at > clock_timestamp() - interval '10 seconds') AS present
           FROM cv.engine GROUP BY name) w USING (engine) ORDER BY engine

-- name: credit_totals
-- In micro-credits, of all wallets. Unlimited wallets are left out: credits are issued to them as they are used.
SELECT coalesce(sum(issued) FILTER (WHERE NOT unlimited), 0)::bigint, coalesce(sum(spent), 0)::bigint,
  coalesce(sum(free), 0)::bigint, coalesce(sum(paid), 0)::bigint, coalesce(sum(held), 0)::bigint FROM cv.wallet

-- name: broken_streams_today
-- Streams interrupted by our failures since midnight (UTC): of all accounts, and of the one with the most.
SELECT coalesce(sum(n), 0)::bigint, coalesce(max(n), 0)::bigint FROM (SELECT count(*) AS n FROM cv.broken_stream
  WHERE at >= date_trunc('day', cv.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' GROUP BY owner) accounts

-- name: guards_down
SELECT what, id FROM cv.recon WHERE what = 'append-only trigger is not always on'

-- name: ledger_imbalance
-- The difference of all wallets and all transfers, in micro-credits.
SELECT coalesce(sum(abs(told - kept)), 0)::bigint FROM (
  SELECT bucket, sum(told) AS told, sum(kept) AS kept FROM (
    SELECT dst AS bucket, amount AS told, 0 AS kept FROM cv.transfer
    UNION ALL SELECT src, -amount, 0 FROM cv.transfer
    UNION ALL SELECT x.bucket, 0, x.kept FROM cv.wallet w CROSS JOIN LATERAL (VALUES
      ('issued'::cv.bucket, -w.issued), ('free', w.free), ('paid', w.paid), ('held', w.held), ('spent', w.spent),
      ('expired', w.expired)) x(bucket, kept)) movements
  GROUP BY bucket) totals

-- name: workers
SELECT name AS engine, worker, capabilities ->> 'kind' AS kind, jsonb_array_length(capabilities -> 'voices') AS voices,
  seen_at, clock_timestamp() - seen_at < interval '10 seconds' AS present
FROM cv.engine ORDER BY seen_at DESC LIMIT 200

-- name: room_queues
SELECT engine, count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state = 'processing') AS processing,
  min(created_at) FILTER (WHERE state = 'queued') AS oldest
FROM cv.job WHERE state IN ('queued', 'processing') GROUP BY engine ORDER BY engine

-- name: refuse_account
-- Its keys and tokens are refused from now on, and no password is accepted.
WITH ended AS (UPDATE cv.api_key SET revoked_at = least(revoked_at, clock_timestamp())
  WHERE account = $1 AND (revoked_at IS NULL OR revoked_at > clock_timestamp()))
UPDATE cv.account SET suspended = true, password_hash = NULL, token_epoch = token_epoch + 1 WHERE id = $1
RETURNING email

-- name: erase_jobs
SELECT cv.erase_jobs($1, $2)

-- name: erase_account
SELECT cv.erase_account($1)

-- name: export_account
SELECT id, kind, email, name, tier, admin, suspended, created_at, verified_at, verification_due,
  password_hash IS NOT NULL AS has_password FROM cv.account WHERE id = $1

-- name: export_keys
SELECT id, name, prefix, scopes, personal, created_at, last_used_at, expires_at, revoked_at FROM cv.api_key
WHERE account = $1 ORDER BY created_at, id

-- name: export_resets
SELECT expires_at, by_mail FROM cv.password_reset WHERE account = $1 ORDER BY expires_at

-- name: export_sessions
SELECT session, until FROM cv.ended_session WHERE account = $1 ORDER BY until

-- name: export_acts
SELECT at, actor, act, reason, details::text AS details FROM cv.admin_act WHERE owner = $1 ORDER BY at, ref

-- name: export_jobs
SELECT j.id, j.kind, j.engine, j.lane, j.params::text AS params, j.characters, j.hold, j.price, j.refunded, j.state, j.code,
  j.object, j.content_type, j.audio_bytes, j.duration_ms, encode(j.sha256, 'hex') AS sha256, j.audio_until, j.api_key,
  j.created_at, j.started_at, j.finished_at, i.key AS idempotency_key
FROM cv.job j LEFT JOIN cv.idempotency i ON i.owner = j.owner AND i.job = j.id
WHERE j.owner = $1 ORDER BY j.created_at, j.id
