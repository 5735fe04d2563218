UPDATE stock SET available = ?3, total = ?3 + owed + held + sold WHERE sale = ?1 AND sku = ?2
