-- For `codevoice bench size`, in its throwaway databases: history by the ledger's own writer, its chain unbroken.

-- `p_jobs` completed jobs of an account, over the last 60 days, each with five transfers: a grant, a hold, its post,
-- its refund, and the grant taken back.
CREATE FUNCTION public.fill(p_account int, p_jobs int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE w cv.wallet := cv.lock_wallet(public.owner_of(p_account)); job uuid; price bigint := 1000000;
BEGIN
  FOR n IN 1..p_jobs LOOP
    job := public.job_of(p_account, n);
    w := cv.append_transfer(w, md5(job || 'g')::uuid, 0, 'issued', 'paid', price, 'paid', 'bench', 'history');
    w := cv.append_transfer(w, job, 10, 'free', 'held', price, 'free', 'api', 'hold');
    w := cv.append_transfer(w, job, 20, 'held', 'spent', price, 'free', 'bench', 'post');
    w := cv.append_transfer(w, job, 40, 'spent', 'free', price, 'free', 'bench', 'history');
    w := cv.append_transfer(w, md5(job || 'g')::uuid, 2, 'paid', 'expired', price, 'paid', 'bench', 'history');
  END LOOP;
  w := cv.store_wallet(w);
  INSERT INTO cv.job (id, owner, kind, engine, lane, params, characters, hold, tariff, price, refunded, bucket, remaining, state,
      attempt, tries, fair_at, deadline, created_at, started_at, finished_at, object, content_type, audio_bytes,
      duration_ms, sha256, audio_until)
    SELECT public.job_of(p_account, n), w.owner, 'speech', 'paced', 'paced',
      '{"text": "The quick brown fox jumps over the lazy dog.", "voice": "paced", "language": "en-US", "format": "wav"}',
      44, price, 1, price, price, 'free', 0, 'completed', 1, 1, at, at + interval '1 hour', at, at, at,
      'jobs/' || public.job_of(p_account, n) || '/1.wav', 'audio/wav', 88244, 2000, sha256('x'), at + interval '90 days'
    FROM (SELECT n, clock_timestamp() - interval '60 days' * (p_jobs - n + 1) / p_jobs AS at
          FROM generate_series(1, p_jobs) n) t;
END $$;

CREATE FUNCTION public.job_of(p_account int, p_n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT md5(p_account || 'j' || p_n)::uuid $$;
