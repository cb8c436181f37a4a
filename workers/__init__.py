"""Workers: claim jobs, run the engine, encode and store the result, finish the jobs."""
