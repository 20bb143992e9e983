"""What a Tab offers on the lines and in the cells of the magics."""
