UPDATE payment SET refunding = refunding + ?2 WHERE id = ?1
