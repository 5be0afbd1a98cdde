"""Results to take away: what a file holds, how it is written, what goes with it, how it is checked."""
