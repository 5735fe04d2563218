-- One reading: the version is that of this list.
SELECT ban_list.version, ban.id, ban.rule, ban.reason, ban.at
FROM ban_list
LEFT JOIN ban ON true
ORDER BY ban.id
