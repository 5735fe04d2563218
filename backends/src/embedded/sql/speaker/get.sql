SELECT holder, until, epoch, high_water, serving, holes FROM speaker WHERE sale = ?1
