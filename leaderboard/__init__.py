"""What runs measured, as an index that can be rebuilt, a board and downloads. Imports no torch."""
