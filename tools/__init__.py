"""What is computed: plain values in, records out; no SQL, no settings, no graph."""
