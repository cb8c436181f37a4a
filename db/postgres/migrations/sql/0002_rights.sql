-- What the application role may do: run the ledger's functions, read, and keep accounts. Nothing else.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA cv FROM PUBLIC;
GRANT USAGE ON SCHEMA cv TO cv_app;
GRANT EXECUTE ON FUNCTION cv.open_wallet, cv.grant_credits, cv.expire_credits, cv.refund, cv.set_terms,
  cv.set_unlimited, cv.close_wallet, cv.record_act, cv.set_price, cv.submit_batch, cv.forget_texts, cv.checkpoint, cv.defects_since_checkpoint, cv.claim, cv.renew, cv.finish, cv.sweep,
  cv.cancel, cv.break_off, cv.listen, cv.hear, cv.charge, cv.forget_audio, cv.forget_keys, cv.now, cv.month TO cv_app;
GRANT SELECT ON cv.plan, cv.checkpoint, cv.false_checkpoints, cv.price, cv.price_now, cv.wallet, cv.transfer, cv.job, cv.balance, cv.leg, cv.chain_breaks, cv.recon, cv.admin_act TO cv_app;
GRANT SELECT, INSERT, UPDATE ON cv.api_key TO cv_app;
-- Who an account is, is said once; its tier follows the wallet's terms.
REVOKE ALL ON cv.account FROM cv_app;
GRANT SELECT, INSERT ON cv.account TO cv_app;
GRANT UPDATE (email, name, password_hash, suspended, token_epoch) ON cv.account TO cv_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON cv.engine TO cv_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON cv.password_reset TO cv_app;
GRANT SELECT, INSERT, UPDATE ON cv.invite TO cv_app;
-- The views call these as the reader.
GRANT EXECUTE ON FUNCTION cv.link, cv.quota TO cv_app;
