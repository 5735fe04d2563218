UPDATE ban_list SET version = version + 1
