-- For `codevoice bench ledger`, in its throwaway database: wallets, a plain table, and the second call. The first
-- is cv.submit itself; here the claim of one known job, as short as can be, and cv.finish are joined into one.

CREATE TABLE public.plain (id int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 70);
INSERT INTO public.plain SELECT n, 0 FROM generate_series(1, 5000) n;

CREATE FUNCTION public.owner_of(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT md5('w' || n)::uuid $$;

SELECT cv.open_wallet(public.owner_of(n), 'registered', 2, 1000000000000000, false)
FROM generate_series(1, 5000) n;

CREATE FUNCTION public.post(p_job bigint) RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
  UPDATE cv.job SET state = 'processing', attempt = 1, tries = 1, worker = 'b', lease = now() + interval '1 minute'
    WHERE id = md5(p_job::text)::uuid;
  RETURN (SELECT result FROM cv.finish(ARRAY[md5(p_job::text)::uuid], '{1}', '{done}', '{NULL}', '{NULL}', '{NULL}',
    '{NULL}', '{NULL}', '{NULL}', ARRAY[NULL::bytea], 'b', 3, interval '1 day'));
END $$;
