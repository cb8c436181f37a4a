"""The storm: the whole stack under faults and load, its histories, and the checker that replays them."""
