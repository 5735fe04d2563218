SELECT version FROM ban_list
