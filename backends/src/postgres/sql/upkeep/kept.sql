SELECT body::text FROM reconciliation ORDER BY sale
