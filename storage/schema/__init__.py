"""The shape of the store: tables, their comments, and numbered migrations."""
