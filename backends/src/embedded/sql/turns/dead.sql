SELECT count(*) FROM turn WHERE buried_at IS NOT NULL
