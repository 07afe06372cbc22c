"""How fast the program is, and what it costs: `make bench`. Each figure stands beside those of its peers."""
