"""Model versions of a run: trained, loaded, asked, removed."""
