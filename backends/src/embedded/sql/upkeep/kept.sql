SELECT body FROM reconciliation ORDER BY sale
