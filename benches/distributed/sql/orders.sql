SELECT number FROM movement_count WHERE sale = $1
