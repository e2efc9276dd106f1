"""What analysts ask: views, ready queries, and the one way in which a query is answered."""
