-- The statements the rooms send. A line `-- name: x` begins each.

-- name: submit
SELECT pos, code, id, bucket, remaining
FROM cv.submit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: job_status
SELECT j.id, j.owner, j.state, j.attempt, j.code, j.created_at, j.finished_at, j.object, j.content_type,
  j.audio_bytes, j.duration_ms, j.sha256, j.audio_until < clock_timestamp() AS audio_gone,
  CASE WHEN j.state = 'queued' THEN (SELECT count(*) FROM (SELECT FROM cv.job a WHERE a.engine = j.engine
    AND a.state = 'queued' AND a.fair_at < j.fair_at LIMIT 1000) ahead) END AS position
FROM cv.job j WHERE j.id = $1

-- name: cancel
SELECT cv.cancel($1, $2, $3)

-- name: claim
SELECT id, attempt, lane, params, fair_at FROM cv.claim($1, $2, $3, $4, $5, $6) ORDER BY fair_at

-- name: renew
SELECT cv.renew($1, $2, $3, $4)

-- name: finish
SELECT id, result FROM cv.finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: sweep
SELECT id, engine, result FROM cv.sweep($1, $2)

-- name: forget_audio
SELECT cv.forget_audio($1)

-- name: waiting
SELECT count(*) FROM (SELECT FROM cv.job WHERE engine = $1 AND state = 'queued' LIMIT $2) q

-- name: publish
INSERT INTO cv.engine (name, worker, capabilities) VALUES ($1, $2, $3::jsonb)
ON CONFLICT (name, worker) DO UPDATE SET capabilities = excluded.capabilities, seen_at = clock_timestamp()

-- name: retire
DELETE FROM cv.engine WHERE worker = $1 AND name = $2 AND (SELECT count(*) FROM cv.engine WHERE name = $2) > 1

-- name: engines
SELECT DISTINCT ON (name) capabilities, clock_timestamp() - seen_at < interval '10 seconds' AS present
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

-- name: totals
SELECT count(*) AS wallets, coalesce(sum(seq), 0)::bigint AS transfers, coalesce(sum(free), 0)::bigint AS free,
  coalesce(sum(paid), 0)::bigint AS paid, coalesce(sum(held), 0)::bigint AS held,
  coalesce(sum(spent), 0)::bigint AS spent FROM cv.wallet

-- name: principal_by_key
SELECT a.id, a.kind, a.tier, a.admin, a.suspended, a.token_epoch, k.id AS key, k.scopes, k.expires_at, k.revoked_at
FROM cv.api_key k JOIN cv.account a ON a.id = k.account WHERE k.digest = $1

-- name: principal_by_id
SELECT id, kind, tier, admin, suspended, token_epoch FROM cv.account WHERE id = $1

-- name: find_account
SELECT id FROM cv.account WHERE id::text = $1 OR email = lower($1)
