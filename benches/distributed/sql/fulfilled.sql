SELECT count(*) FROM orders WHERE state = 'fulfilled'
