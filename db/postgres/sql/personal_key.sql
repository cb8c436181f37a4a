-- The account of an e-mail, and its personal key if that still works; for the one-machine stack, at each start.
SELECT a.id AS account, k.id AS key, k.sealed
FROM cv.account a LEFT JOIN LATERAL (
  SELECT id, sealed FROM cv.api_key
  WHERE account = a.id AND personal AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
  ORDER BY created_at, id LIMIT 1) k ON true
WHERE a.email = $1
