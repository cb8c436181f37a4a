-- For `codevoice bench ledger`, in its throwaway database: wallets, a plain table, and names for both.

CREATE TABLE public.plain (id int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 70);
INSERT INTO public.plain SELECT n, 0 FROM generate_series(1, 5000) n;

CREATE FUNCTION public.owner_of(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT md5('w' || n)::uuid $$;

CREATE FUNCTION public.job_id(run int, job int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT md5(run || '-' || job)::uuid $$;

SELECT cv.open_wallet(public.owner_of(n), 'registered', 2, 1000000000000000, false)
FROM generate_series(1, 5000) n;
