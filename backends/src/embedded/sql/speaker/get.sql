SELECT holder, until, epoch, high_water, serving, holes, given_out FROM speaker WHERE sale = ?1
