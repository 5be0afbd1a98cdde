"""Alembic migrations of the store; `leaderboard.store.connect` runs them."""
