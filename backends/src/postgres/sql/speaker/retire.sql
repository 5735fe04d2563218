UPDATE speaker SET holder = NULL, until = 0, serving = greatest(serving, high_water), holes = '[]' WHERE sale = $1
