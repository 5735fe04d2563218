DELETE FROM reconciliation WHERE sale = $1
