-- For `codevoice bench ledger`, in its throwaway database: wallets and a plain table.

CREATE TABLE public.plain (id int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 70);
INSERT INTO public.plain SELECT n, 0 FROM generate_series(1, 5000) n;

SELECT cv.open_wallet(md5('w' || n)::uuid, 'registered', 2, 1000000000000000, false)
FROM generate_series(1, 5000) n;
