"""The prompts, as Markdown files, and how they are filled in."""
