SELECT version FROM ban_list FOR UPDATE
